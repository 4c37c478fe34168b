#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
#
# What is answered without the body is answered at once: a client that declares 5 MB and sends nothing
# has its answer, is not told to go on, and the connection ends. Whatever it sends after all is never
# a request, however its length was said, and neither is what two readers of one header would see.
use strict;
use warnings;
use HTTP::Response ();
use IO::Socket::INET ();
use Test::More;
use UserProfile::Avatar;
use UserProfile::Test;

my $MB5 = 5 * 1024 * 1024;
my $victim = person(full_name => 'Vera', avatar_url => 'https://example.com/me.png');
my $before = unchanged_row($victim->{id});
my $auth = "Authorization: Bearer $victim->{token}";
my $json = '{"full_name":"Mallory"}';
my ($form_type, $form) = multipart([{name => 'full_name', body => 'Mallory'}], boundary => 'bb');

journal_clear();
storage('reset');

# A request as it goes over the wire.
sub http {
    my ($line, @headers) = @_;

    return join "\r\n", "$line HTTP/1.1", 'Host: localhost', @headers, '', '';
}

# What an attacker hides in a body: each would be seen in the row.
my $hidden = http("PATCH $ME", $auth, 'Content-Type: application/json', 'Content-Length: ' . length $json) . $json
    . http("DELETE $ME?hard=true", $auth) . http("GET $ME", $auth, 'Connection: close');

sub chunked {
    my ($body) = @_;

    return sprintf("%x\r\n%s\r\n0\r\n\r\n", length $body, $body);
}

sub unharmed {
    my ($name) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;

    return is(unchanged_row($victim->{id}) // 'gone', $before, "$name: nothing in it was done");
}

# --- Answers that need no body --------------------------------------------------------------------

my $revoked = token(sub => $victim->{email}, jti => "early-$$");
my $viewer = token(sub => $victim->{email}, roles => ['viewer']);
redis('SET', "blacklisted_access_token:early-$$", 1);

# name => [status, request line, where, headers]
my %early = (
    '401 without a token' => [401, "PATCH $ME", {}, 'Content-Type: application/json'],
    '401 with a bad token' => [401, "PATCH $ME", {}, 'Authorization: Bearer x.y.z', 'Content-Type: application/json'],
    '401 with a revoked one' => [401, "PATCH $ME", {}, "Authorization: Bearer $revoked",
        'Content-Type: application/json'],
    '401 of the avatar' => [401, "PUT $ME/avatar", {}, 'Content-Type: image/png'],
    '401 of a deletion' => [401, "DELETE $ME", {}],
    '401 of a place that is guarded' => [401, 'POST /guarded/', {}],
    '403 without the role' => [403, 'PATCH /role/me', {vhost => 'guards'}, $auth, 'Content-Type: application/json'],
    '403 by another Require' => [403, 'PATCH /office/me', {vhost => 'guards'}, $auth,
        'Content-Type: application/json'],
    '404 below' => [404, "PATCH $ME/x", {}, $auth, 'Content-Type: application/json'],
    '404 of OPTIONS' => [404, "OPTIONS $ME/x", {}],
    '405 of POST' => [405, "POST $ME", {}, $auth, 'Content-Type: application/json'],
    '405 of PUT' => [405, "PUT $ME", {}, $auth, "Content-Type: $form_type"],
    '405 of TRACE' => [405, "TRACE $ME", {}, $auth],
    '405 of an unknown method' => [405, "FROBNICATE $ME", {}, $auth],
    '405 of the avatar' => [405, "PATCH $ME/avatar", {}, $auth, 'Content-Type: image/png'],
    '405 where there is a role' => [405, 'POST /role/me', {vhost => 'guards'}, "Authorization: Bearer $viewer"],
    '415 of text' => [415, "PATCH $ME", {}, $auth, 'Content-Type: text/plain'],
    '415 without a type' => [415, "PATCH $ME", {}, $auth],
    '415 of a coding' => [415, "PATCH $ME", {}, $auth, 'Content-Type: application/json', 'Content-Encoding: gzip'],
    '415 of the avatar' => [415, "PUT $ME/avatar", {}, $auth, 'Content-Type: video/mp4'],
    '400 without a boundary' => [400, "PATCH $ME", {}, $auth, 'Content-Type: multipart/form-data'],
    '400 of a query' => [400, "DELETE $ME?hard=maybe", {}, $auth],
    '200 of GET' => [200, "GET $ME", {}, $auth],
    '200 of HEAD' => [200, "HEAD $ME", {}, $auth],
    '304 of GET' => [304, "GET $ME", {}, $auth, 'If-None-Match: *'],
    '304 of HEAD' => [304, "HEAD $ME", {}, $auth, 'If-None-Match: *'],
    '204 of OPTIONS' => [204, "OPTIONS $ME", {}],
    '204 of OPTIONS of the avatar' => [204, "OPTIONS $ME/avatar", {}],
    '412 of a deletion' => [412, "DELETE $ME", {}, $auth, 'If-Match: "never"'],
);
# By the length that was declared.
my %too_large = (
    '413 of JSON' => [413, "PATCH $ME", {}, $auth, 'Content-Type: application/json'],
    '413 of a merge patch' => [413, "PATCH $ME", {}, $auth, 'Content-Type: application/merge-patch+json'],
    '413 of a form' => [413, "PATCH $ME", {}, $auth, 'Content-Type: multipart/form-data; boundary=bb'],
    '413 of a raw picture' => [413, "PUT $ME/avatar", {}, $auth, 'Content-Type: image/png'],
    '413 of a form with a picture' => [413, "POST $ME/avatar", {}, $auth,
        'Content-Type: multipart/form-data; boundary=bb'],
);

# One answer, of this status, no word to go on, and the end of the connection, of which the client
# is told.
sub answered {
    my ($case, $headers, $rest, $name) = @_;
    my ($status, $line, $where, @headers) = @$case;
    my ($answer, $closed) = raw(http($line, @headers, @$headers) . $rest, %$where, timeout => 15);
    my @statuses = $answer =~ m{HTTP/1\.1 (\d+)}g;
    local $Test::Builder::Level = $Test::Builder::Level + 1;

    is("@statuses", $status, "$name: one answer") or diag substr $answer, 0, 1000;
    ok($closed, "$name: at once, and the connection ends");
    return like($answer, qr/^Connection: close\r$/m, "$name: and the client is told so");
}

for my $name (sort keys %early) {
    my $case = $early{$name};
    my %body = (
        '5 MB, of which nothing comes' => [["Content-Length: $MB5"], ''],
        '5 MB, and it waits to be told' => [["Content-Length: $MB5", 'Expect: 100-continue'], ''],
        'chunks that do not come' => [['Transfer-Encoding: chunked'], ''],
        'chunks that wait to be told' => [['Transfer-Encoding: chunked', 'Expect: 100-continue'], ''],
        'half a chunk' => [['Transfer-Encoding: chunked'], "1000\r\nabc"],
        'requests in it' => [['Content-Length: ' . length $hidden], $hidden],
        'requests in it and after it' => [['Content-Length: ' . length $hidden], $hidden . $hidden],
        'requests in a chunk, and after it' => [['Transfer-Encoding: chunked'], chunked($hidden) . $hidden],
        'requests in place of chunks' => [['Transfer-Encoding: chunked'], $hidden],
        '100 kB of 5 MB' => [["Content-Length: $MB5"], $hidden . 'x' x 100_000],
    );
    answered($case, @{$body{$_}}, "$name, $_") for sort keys %body;
    unharmed($name);
}
for my $name (sort keys %too_large) {
    my $length = $name =~ /form|picture/ ? 6_000_000 : 65_537;

    for my $expect ([], ['Expect: 100-continue']) {
        answered($too_large{$name}, ["Content-Length: $length", @$expect], '', "$name, @$expect");
    }
    answered($too_large{$name}, ["Content-Length: $length"], $hidden, "$name, with requests in it");
    unharmed($name);
}

# --- A body that is wanted ------------------------------------------------------------------------

{
    my $person = person(full_name => 'Ada');
    my $mine = "Authorization: Bearer $person->{token}";
    my ($type, $body) = multipart([{name => 'full_name', body => 'Grace'}, part(png())]);
    my %wanted = (
        'JSON' => ["PATCH $ME", 'application/json', '{"full_name":"Grace"}'],
        'a form with a picture' => ["PATCH $ME", $type, $body],
        'a picture' => ["PUT $ME/avatar", 'image/png', png()],
    );

    for my $name (sort keys %wanted) {
        my ($line, $media_type, $bytes) = @{$wanted{$name}};

        for my $framing (['Content-Length: ' . length $bytes], ['Transfer-Encoding: chunked']) {
            my $port = url('/') =~ s{^http://(.*)/$}{$1}r;
            my $client = IO::Socket::INET->new(PeerAddr => $port) or die "connect: $!\n";

            print {$client} http($line, $mine, "Content-Type: $media_type", 'Expect: 100-continue',
                'Connection: close', @$framing);
            $client->flush;
            local $/ = "\r\n\r\n";
            is(scalar(<$client>), "HTTP/1.1 100 Continue\r\n\r\n", "$name, @$framing: go on");
            print {$client} $framing->[0] =~ /chunked/ ? chunked($bytes) : $bytes;
            $client->flush;
            undef $/;
            is_profile(HTTP::Response->parse(scalar <$client>), {id => $person->{id}}, "$name, @$framing: done");
        }
    }
    # A refusal after a body that was read whole leaves the connection as it is, in step; httpd itself
    # ends it after any 400.
    my @stale = ($mine, 'Content-Type: application/json', 'If-Match: "never"');
    my $next = http("GET $ME", $mine, 'Connection: close');
    my $small = '{"full_name":"Eve"}';
    for my $body (['Content-Length: ' . length $small, $small], ['Transfer-Encoding: chunked', chunked($small)]) {
        my ($answer) = raw(http("PATCH $ME", @stale, $body->[0]) . $body->[1] . $next);
        is(join(' ', $answer =~ m{HTTP/1\.1 (\d+)}g), '412 200', "a body that was read, $body->[0]: the next is served");
    }
    avatar('DELETE', $person);
}

# --- Two readers, two lengths ---------------------------------------------------------------------

# A proxy in front may read another length than httpd. Whichever is the right one, the rest is no
# request: httpd refuses the header, or ends the connection.
my $zero = "0\r\n\r\n";
my %pair = (
    'CL.TE' => [['Content-Length: ' . length("$zero$hidden"), 'Transfer-Encoding: chunked'], "$zero$hidden"],
    'TE.CL' => [['Transfer-Encoding: chunked', 'Content-Length: 4'], chunked($hidden)],
    'CL 0 and TE' => [['Content-Length: 0', 'Transfer-Encoding: chunked'], chunked($hidden) . $hidden],
    'CL 0 and a body' => [['Content-Length: 0', 'Connection: close'], $hidden],
    'two lengths' => [['Content-Length: 5', 'Content-Length: ' . length $hidden], $hidden],
    'two lengths in one' => [['Content-Length: 5, ' . length $hidden], $hidden],
    'a length with a sign' => [['Content-Length: +5'], $hidden],
    'a negative length' => [['Content-Length: -1'], $hidden],
    'a length in hexadecimal' => [['Content-Length: 0x5'], $hidden],
    'a length beyond 64 bits' => [['Content-Length: 18446744073709551621'], $hidden],
    'a length and a blank' => [['Content-Length : 5'], $hidden],
    'a length with a NUL' => [["Content-Length: 5\0"], $hidden],
    'TE twice' => [['Transfer-Encoding: chunked', 'Transfer-Encoding: identity'], "$zero$hidden"],
    'TE in a list' => [['Transfer-Encoding: chunked, identity'], "$zero$hidden"],
    'TE twice chunked' => [['Transfer-Encoding: chunked, chunked'], "$zero$hidden"],
    'TE of nobody' => [['Transfer-Encoding: xchunked', 'Content-Length: 5'], "$zero$hidden"],
    'TE identity' => [['Transfer-Encoding: identity', 'Content-Length: 5'], "$zero$hidden"],
    'TE in quotes' => [['Transfer-Encoding: "chunked"', 'Content-Length: 5'], "$zero$hidden"],
    'TE with a vertical tab' => [["Transfer-Encoding: \x0bchunked", 'Content-Length: 5'], "$zero$hidden"],
    'TE before a colon' => [['Transfer-Encoding : chunked', 'Content-Length: 5'], "$zero$hidden"],
    'TE folded' => [["Transfer-Encoding:\r\n chunked", 'Content-Length: 5'], "$zero$hidden"],
    'TE by a bare line feed' => [["X: y\nTransfer-Encoding: chunked", 'Content-Length: 5'], "$zero$hidden"],
    'a chunk of more than 64 bits' => [['Transfer-Encoding: chunked'], "10000000000000005\r\nx\r\n$zero$hidden"],
    'a negative chunk' => [['Transfer-Encoding: chunked'], "-1\r\nx\r\n$zero$hidden"],
    'a chunk that is no number' => [['Transfer-Encoding: chunked'], "xyz\r\n$zero$hidden"],
    'a chunk longer than it says' => [['Transfer-Encoding: chunked'], "1\r\nxxxx\r\n$zero$hidden"],
    'a trailer with a request' => [['Transfer-Encoding: chunked'], "0\r\nX: y\r\n$hidden"],
    'a trailer with a length' => [['Transfer-Encoding: chunked', 'Connection: close'],
        "0\r\nContent-Length: 5\r\n\r\n$hidden"],
);
my $someone = person(full_name => 'Mallory');
for my $name (sort keys %pair) {
    my ($headers, $body) = @{$pair{$name}};

    for my $who (["Authorization: Bearer $someone->{token}", 'Content-Type: application/json'],
        ["Authorization: Bearer $someone->{token}", 'Content-Type: image/png'], ['Content-Type: application/json']) {
        my $line = $who->[-1] =~ /image/ ? "PUT $ME/avatar" : "PATCH $ME";
        my ($answer, $closed) = raw(http($line, @$who, @$headers) . $body, timeout => 15);
        my @statuses = $answer =~ m{HTTP/1\.1 (\d+)}g;

        like("@statuses", qr/^[45]\d\d$/, "$name, $line: one answer, and a refusal") or diag $answer;
        ok($closed, "$name, $line: the connection ends");
    }
    unharmed($name);
}
{
    # Where both are given and the chunks are good the body is theirs; what follows is nobody's.
    my $mine = person(full_name => 'Ada');
    my ($answer, $closed) = raw(http("PATCH $ME", "Authorization: Bearer $mine->{token}",
        'Content-Type: application/json', 'Content-Length: 5', 'Transfer-Encoding: chunked')
        . chunked('{"full_name":"Grace"}') . $hidden, timeout => 15);

    unlike($answer, qr{HTTP/1\.1 .*HTTP/1\.1 }s, 'both lengths and a good body: one answer');
    ok($closed, 'both lengths and a good body: the connection ends');
    unharmed('both lengths and a good body');
}

is_deeply([journal()], [], 'the journal is empty');
redis('DEL', "blacklisted_access_token:early-$$");
is_profile(me('GET', token => $victim->{token}), {full_name => 'Vera'}, 'and all are still served');

done_testing();
