#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
#
# An avatar that is refused leaves nothing behind: row, storage and journal are as they were, nothing
# was uploaded, and in httpd no memory, descriptor or temporary file is left, also of clients that
# leave.
use strict;
use warnings;
use IO::Socket::INET ();
use Test::More;
use UserProfile::Avatar;
use UserProfile::Resources;
use UserProfile::Test;

my $MB5 = 5 * 1024 * 1024;
my ($boundary, $close) = ('bb', "\r\n--bb--\r\n");
my $part_head = "--bb\r\nContent-Disposition: form-data; name=\"avatar\"; filename=\"x.png\"\r\n\r\n";

journal_clear();

# One check that a request that was refused has changed nothing.
sub nothing_happened {
    my ($person, $before, $name) = @_;
    my @wrong;

    push @wrong, 'the row differs' unless (unchanged_row($person->{id}) // '') eq ($before // '');
    push @wrong, 'the storage was asked: ' . join ', ', calls() if calls();
    push @wrong, 'the journal has ' . join ', ', journal() if journal();
    return ok(!@wrong, "$name: nothing has changed") || diag(map { "  $_\n" } @wrong);
}

# A refusal, and that nothing has changed.
sub refused {
    my ($person, $request, $status, $code, $name, %more) = @_;
    my $before = unchanged_row($person->{id});

    storage('reset');
    my $res = $request->();
    is_error($res, $status, $code, $name, %more);
    nothing_happened($person, $before, $name);
    return $res;
}

sub raw_head {
    my ($person, $method, $path, @headers) = @_;

    return join "\r\n", "$method $path HTTP/1.1", 'Host: localhost',
        "Authorization: Bearer $person->{token}", @headers, '', '';
}

subtest 'what is no picture' => sub {
    my $person = person(avatar_url => 'https://example.com/me.png', full_name => 'Ada');
    my %bytes = (
        'text' => 'hello',
        'an empty file with a name' => '',
        'SVG' => qq(<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>),
        'SVG with an XML declaration' => qq(<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg"/>),
        'GIF' => "GIF89a\1\0\1\0\x80\0\0\0\0\0\xff\xff\xff!\xf9\4\1\0\0\0\0,\0\0\0\0\1\0\1\0\0\2\2D\1\0;",
        'HTML' => '<!DOCTYPE html><html><body><script>alert(1)</script></body></html>',
        'PDF' => "%PDF-1.7\n",
        'BMP' => 'BM' . "\0" x 60,
        'AVIF' => "\0\0\0\x1cftypavif" . "\0" x 40,
        'a PNG after a space' => ' ' . png(),
        'a PNG signature only' => "\x89PNG\r\n\x1a\n",
        'half of a JPEG marker' => "\xff\xd8",
        'a WAV' => "RIFF\x24\0\0\0WAVEfmt " . "\0" x 30,
        'NULs' => "\0" x 100,
        'one byte' => "\x89",
        'half of a PNG' => substr(png(), 0, 100),
        'a PNG without pixels' => png() =~ s/....IDAT.*(?=....IEND)//sr,
        'a PNG of no width' => png() =~ s/IHDR\K..../\0\0\0\0/sr,
        'a JPEG without pixels' => jpeg() =~ s/\xff\xda.*//sr,
        'a JPEG of no height' => jpeg() =~ s/\xff\xc0...\K../\0\0/sr,
        'a JPEG with a broken segment' => jpeg() =~ s/\xff\xc4\K../\xff\xff/sr,
        'half of a WebP' => substr(webp(), 0, 30),
        'a WebP with a broken chunk' => webp() =~ s/VP8L\K./\xff/sr,
    );

    for my $kind (sort keys %bytes) {
        for my $type ('image/png', 'application/octet-stream') {
            refused($person, sub { avatar('PUT', $person, $bytes{$kind}, type => $type) },
                400, 'INVALID_FILE_TYPE', "$kind as $type", fields => {avatar => 'INVALID_FILE_TYPE'});
        }
        refused($person, sub { avatar('POST', $person, undef, form => [part($bytes{$kind})]) },
            400, 'INVALID_FILE_TYPE', "$kind in a part", fields => {avatar => 'INVALID_FILE_TYPE'});
        refused($person,
            sub {
                me('PATCH', token => $person->{token},
                    form => [part($bytes{$kind}), {name => 'full_name', body => 'Grace'}]);
            },
            400, 'INVALID_FILE_TYPE', "$kind with a valid text", fields => {avatar => 'INVALID_FILE_TYPE'});
    }
    # Wherever it stands among the parts.
    for my $parts ([part(''), {name => 'full_name', body => 'Grace'}],
        [{name => 'full_name', body => 'Grace'}, part('')],
        [part(''), {name => 'other', filename => '', body => ''}]) {
        refused($person, sub { me('PATCH', token => $person->{token}, form => $parts) },
            400, 'INVALID_FILE_TYPE', 'an empty file beside ' . join ', ', map { $_->{name} } @$parts);
    }
};

subtest 'media types' => sub {
    my $person = person(avatar_url => 'https://example.com/me.png');
    my $send = sub { my ($type, @more) = @_; sub { avatar('PUT', $person, png(), type => $type, @more) } };

    refused($person, $send->($_), 415, 'UNSUPPORTED_MEDIA_TYPE', "PUT …/avatar as $_")
        for 'text/plain', 'application/json', 'application/x-www-form-urlencoded', 'imagepng', 'image',
        'application/octet-streams', 'video/png', 'multipart/mixed; boundary=bb', '*/*', ' ';
    refused($person, sub { request('PUT', "$ME/avatar", token => $person->{token}, body => png()) },
        415, 'UNSUPPORTED_MEDIA_TYPE', 'PUT …/avatar without a media type');
    refused($person, sub { me('PATCH', token => $person->{token}, body => png(), type => 'image/png') },
        415, 'UNSUPPORTED_MEDIA_TYPE', 'the raw image by PATCH of the profile');
    refused($person, $send->('image/png', headers => {'Content-Encoding' => $_}), 415,
        'UNSUPPORTED_MEDIA_TYPE', "Content-Encoding: $_") for qw(gzip br);
    refused($person, sub { avatar('PUT', $person, '', type => 'image/png') }, 400, 'INVALID_FILE_TYPE',
        'no body at all');
};

subtest 'multipart that is no avatar' => sub {
    my $person = person(avatar_url => 'https://example.com/me.png', full_name => 'Ada');

    for my $way ([PATCH => $ME], [PUT => "$ME/avatar"], [POST => "$ME/avatar"]) {
        my ($method, $path) = @$way;
        my $send = sub { my %how = @_; sub { request($method, $path, token => $person->{token}, %how) } };
        my $twice = [part(png()), part(png())];

        refused($person, $send->(form => $twice), 400, 'MALFORMED_MULTIPART', "$method $path: avatar twice");
        refused($person, $send->(form => [part('', filename => ''), part(png())]), 400,
            'MALFORMED_MULTIPART', "$method $path: avatar twice, once empty");
        my ($type, $body) = multipart([part(png())], close => 0);
        refused($person, $send->(type => $type, body => $body), 400, 'MALFORMED_MULTIPART',
            "$method $path: without its closing boundary");
        refused($person, $send->(type => $type, body => substr $body, 0, 120), 400, 'MALFORMED_MULTIPART',
            "$method $path: cut off within the picture");
        refused($person, $send->(type => 'multipart/form-data', body => $body), 400,
            'MALFORMED_MULTIPART', "$method $path: without a boundary parameter");
    }
    for my $method (qw(PUT POST)) {
        my %form = (
            'no avatar part' => [{name => 'full_name', body => 'Grace'}],
            'no part' => [],
            'a part named Avatar' => [part(png(), name => 'Avatar')],
            'a part named file' => [part(png(), name => 'file')],
            'an avatar part with an empty name and no bytes' => [part('', filename => '')],
        );
        refused($person, sub { request($method, "$ME/avatar", token => $person->{token}, form => $form{$_}) },
            400, 'VALIDATION_ERROR', "$method …/avatar: $_", fields => {avatar => 'VALIDATION_ERROR'})
            for sort keys %form;
    }
};

subtest 'all that is invalid is told at once' => sub {
    my $person = person(avatar_url => 'https://example.com/me.png', full_name => 'Ada');
    my $patch = sub { my @parts = @_; sub { me('PATCH', token => $person->{token}, form => \@parts) } };
    my $name = {name => 'full_name', body => 'x' x 256};
    my $language = {name => 'speaking_language', body => 'xx'};
    my $null = {name => 'listening_language', body => ''};

    refused($person, $patch->(part(png()), $name), 400, 'VALIDATION_ERROR', 'a good picture, a bad name',
        fields => {full_name => 'VALIDATION_ERROR'});
    refused($person, $patch->($language, part(png())), 400, 'INVALID_LANGUAGE_CODE',
        'a good picture, a bad language', fields => {speaking_language => 'INVALID_LANGUAGE_CODE'});
    refused($person, $patch->(part('GIF89a'), $name), 400, 'VALIDATION_ERROR', 'a bad picture, a bad name',
        fields => {avatar => 'INVALID_FILE_TYPE', full_name => 'VALIDATION_ERROR'});
    refused($person, $patch->($name, part('GIF89a'), $language, $null), 400, 'INVALID_LANGUAGE_CODE',
        'a bad picture, name and two bad languages', fields => {avatar => 'INVALID_FILE_TYPE',
            full_name => 'VALIDATION_ERROR', speaking_language => 'INVALID_LANGUAGE_CODE',
            listening_language => 'INVALID_LANGUAGE_CODE'});
    refused($person, $patch->({name => 'full_name', body => 'Grace'}, part(png()), {name => 'full_name', body => 'G'}),
        400, 'MALFORMED_MULTIPART', 'a good picture, a name twice');
};

subtest 'who may not' => sub {
    my $stale = '"00000000000000000000000000000000"';
    my $deleted = person(deleted_at => '2026-01-01', is_active => 0, avatar_url => 'https://example.com/a.png');
    my $inactive = person(is_active => 0);
    my $active = person();
    my $nobody = {token => token(sub => 'nobody@example.com'), id => 0};
    my @case = (
        ['a deleted account', $deleted, {}, 403, 'ACCOUNT_DELETED'],
        ['a deleted account, If-Match', $deleted, {'If-Match' => $stale}, 403, 'ACCOUNT_DELETED'],
        ['a deactivated account', $inactive, {}, 403, 'ACCOUNT_DEACTIVATED'],
        ['an unknown account', $nobody, {}, 401, 'INVALID_CREDENTIALS'],
        ['an unknown account, If-Match', $nobody, {'If-Match' => '*'}, 401, 'INVALID_CREDENTIALS'],
        ['a stale If-Match', $active, {'If-Match' => $stale}, 412, 'PRECONDITION_FAILED'],
        ['a weak If-Match', $active,
            {'If-Match' => 'W/' . me('GET', token => $active->{token})->header('ETag')}, 412, 'PRECONDITION_FAILED'],
        ['an If-Match that is no tag', $active, {'If-Match' => 'x'}, 412, 'PRECONDITION_FAILED'],
        ['an empty If-Match', $active, {'If-Match' => '""'}, 412, 'PRECONDITION_FAILED'],
    );

    for my $case (@case) {
        my ($name, $person, $headers, $status, $code) = @$case;

        refused($person, sub { avatar('PUT', $person, png(), headers => $headers) }, $status, $code,
            "$name: PUT …/avatar");
        refused($person, sub { avatar('DELETE', $person, undef, headers => $headers) }, $status, $code,
            "$name: DELETE …/avatar");
        refused($person,
            sub {
                me('PATCH', token => $person->{token}, headers => $headers,
                    form => [part(png()), {name => 'full_name', body => 'Grace'}]);
            },
            $status, $code, "$name: PATCH");
    }
    refused($active, sub { request('PUT', "$ME/avatar", body => png(), type => 'image/png') }, 401,
        'MISSING_TOKEN', 'no token');
    # The body is judged before the account is.
    refused($deleted, sub { avatar('PUT', $deleted, 'GIF89a') }, 400, 'INVALID_FILE_TYPE',
        'a deleted account, no picture');
};

subtest 'its size' => sub {
    my $person = person();
    my ($most, $more) = map { png($_) } $MB5, $MB5 + 1;
    my $begin = sub {
        my ($method, $path, $headers, $body) = @_;
        return scalar raw(raw_head($person, $method, $path, @$headers) . $body, timeout => 3);
    };

    is(length $most, $MB5, 'a picture of 5 MiB');
    storage('reset');
    is_profile(avatar('PUT', $person, $most), {}, '5 MiB, raw');
    is(storage('assets')->{assets}[0]{bytes}, $MB5, 'is stored whole');
    is_profile(me('PATCH', token => $person->{token}, form => [part($most),
        {name => 'full_name', body => 'Ada'}, {name => 'other', body => 'x' x 60_000}]), {full_name => 'Ada'},
        '5 MiB, and 60 kB of other parts');
    is(storage('assets')->{assets}[0]{bytes}, $MB5, 'is stored whole');

    my $expect = ['Content-Type: image/png', 'Expect: 100-continue'];
    my $client = IO::Socket::INET->new(PeerAddr => url('') =~ s{^http://}{}r);
    $client->syswrite(raw_head($person, 'PUT', "$ME/avatar", @$expect, "Content-Length: $MB5"));
    like(scalar(<$client>), qr{^HTTP/1.1 100 }, 'a Content-Length of 5 MiB: go on');
    close $client;
    refused($person, sub { avatar('PUT', $person, $more) }, 413, 'FILE_TOO_LARGE', 'one byte more, raw');
    refused($person, sub { avatar('POST', $person, undef, form => [part($more)]) }, 413, 'FILE_TOO_LARGE',
        'one byte more, in a part of …/avatar');
    refused($person, sub { me('PATCH', token => $person->{token}, form => [part($more)]) }, 413,
        'FILE_TOO_LARGE', 'one byte more, in a part of PATCH');
    refused($person, sub { me('PATCH', token => $person->{token}, form => [part('x' x ($MB5 + 1))]) }, 413,
        'FILE_TOO_LARGE', 'one byte more of what is no picture');

    # As soon as it is known: the body is never sent, or never ended.
    my %early = (
        'raw, by its Content-Length' => ['PUT', "$ME/avatar", [@$expect, 'Content-Length: ' . ($MB5 + 1)], ''],
        'raw, by a huge Content-Length' =>
            ['PUT', "$ME/avatar", [@$expect, 'Content-Length: 999999999999'], ''],
        'multipart, by its Content-Length' => ['PATCH', $ME, ["Content-Type: multipart/form-data; boundary=$boundary",
            'Expect: 100-continue', 'Content-Length: ' . ($MB5 + 65_537)], ''],
        'raw, chunked' => ['PUT', "$ME/avatar", ['Content-Type: image/png', 'Transfer-Encoding: chunked'],
            sprintf "%x\r\n%s", $MB5 + 40_000, $most . 'x' x 40_000],
        'multipart, chunked' => ['POST', "$ME/avatar", ["Content-Type: multipart/form-data; boundary=$boundary",
            'Transfer-Encoding: chunked'], sprintf "%x\r\n%s", $MB5 + 50_000, $part_head . $most . 'x' x 40_000],
    );
    for my $name (sort keys %early) {
        my $before = unchanged_row($person->{id});
        storage('reset');
        my $answer = $begin->(@{$early{$name}});
        like($answer, qr{\AHTTP/1.1 413 .*"code":"FILE_TOO_LARGE"}s, "$name: 413 before the body is over");
        like($answer, qr{^Connection: close\r$}m, "$name: the connection is closed");
        is(() = $answer =~ m{HTTP/1\.1 }g, 1, "$name: that is the only answer");
        nothing_happened($person, $before, $name);
    }

    my ($type, $body) = multipart([part(png()), {name => 'other', body => 'x' x 66_000}]);
    refused($person, sub { me('PATCH', token => $person->{token}, type => $type, body => $body) }, 400,
        'MALFORMED_MULTIPART', 'more than 64 KiB of everything but the avatar');
    ($type, $body) = multipart([part(png())], epilogue => 'x' x 66_000);
    refused($person, sub { me('PATCH', token => $person->{token}, type => $type, body => $body) }, 400,
        'MALFORMED_MULTIPART', 'likewise, after its end');
    storage('reset');
    avatar('DELETE', $person);
};

# The picture with another width and height in its header.
sub sized {
    my ($format, $width, $height) = @_;

    return png() =~ s/IHDR\K.{8}/pack 'NN', $width, $height/ser if $format eq 'png';
    return jpeg() =~ s/\xff\xc0...\K.{4}/pack 'nn', $height, $width/ser if $format eq 'jpg';
    return webp() =~ s/\x2f\K.{4}/pack 'V', $width - 1 | $height - 1 << 14/ser;
}

subtest 'its width and height' => sub {
    my $person = person(full_name => 'Ada');
    my $limit = qr/at most 8192 x 8192 pixels large; this one is \d+ x \d+\.$/;

    for my $format (qw(jpg png webp)) {
        storage('reset');
        is(avatar('PUT', $person, sized($format, @$_))->code, 200, "$format of @$_ pixels: taken")
            for [1, 1], [8192, 8192];
        for my $size ([8193, 1], [1, 8193], [8193, 8193], [16_384, 16_384]) {
            my $picture = sized($format, @$size);
            my $res = refused($person, sub { avatar('PUT', $person, $picture) }, 413, 'FILE_TOO_LARGE',
                "$format of @$size pixels");
            like(json($res)->{message}, $limit, "$format of @$size pixels: the answer says what is right");
        }
    }
    refused($person, sub { avatar('PUT', $person, sized('png', 4_294_967_295, 4_294_967_295)) }, 413,
        'FILE_TOO_LARGE', 'more than any');
    refused($person, sub { me('PATCH', token => $person->{token}, form => [part(sized('png', 8193, 1)),
        {name => 'full_name', body => 'x' x 256}]) }, 413, 'FILE_TOO_LARGE', 'beside an invalid text');
    storage('reset');
    avatar('DELETE', $person);
};

# A node with one child, which is looked at from outside.
my $node = node(conf => contract() . <<'CONF');
StartServers 1
ServerLimit 1
MaxRequestWorkers 25
MinSpareThreads 1
MaxSpareThreads 25
MaxConnectionsPerChild 0
CONF

SKIP: {
    skip 'the children of prefork are one for each request', 1 if ($ENV{UP_MPM} // '') eq 'prefork';
    $node->start;
    my ($child) = children($node);

    subtest 'memory' => sub {
        my $person = person();
        my $picture = png($MB5);
        my $put = sub { avatar('PUT', $person, $picture, port => $node->{port})->code };
        my %codes;

        $codes{$put->()}++ for 1 .. 10;
        my $before = memory($child)->{rss};
        $codes{$put->()}++ for 1 .. 40;
        is_deeply(\%codes, {200 => 50}, '50 uploads of 5 MiB');
        SKIP: {
            skip 'a sanitizer keeps memory for itself', 1 if is_sanitized();
            cmp_ok(memory($child)->{rss} - $before, '<', 20 * 1024 * 1024,
                'the child has not grown by a tenth of 40 of them');
        }
        is(scalar(assets()), 1, 'one asset is left');
    };

    subtest 'clients that leave' => sub {
        my $person = person();
        my $before;
        my %way = (
            'raw' => [raw_head($person, 'PUT', "$ME/avatar", 'Content-Type: image/png',
                'Content-Length: 1000000'), png(100_000)],
            'multipart' => [raw_head($person, 'PATCH', $ME, "Content-Type: multipart/form-data; boundary=$boundary",
                'Content-Length: 1000000'), $part_head . png(100_000)],
            'chunked' => [raw_head($person, 'POST', "$ME/avatar", 'Content-Type: image/png',
                'Transfer-Encoding: chunked'), sprintf "%x\r\n%s", 200_000, png(100_000)],
        );

        # As many at once as will be: the connections to Redis and Postgres stay.
        end_request($_) for map {
            begin_request('PUT', "$ME/avatar", token => $person->{token}, port => $node->{port},
                body => 'GIF89a', type => 'image/png')
        } 1 .. 12;
        avatar('PUT', $person, png(), port => $node->{port});
        storage('reset');
        ok(wait_for(5, sub { $before = descriptors($child); $before->{files} == 0 }), 'no file is open before');
        my $row = unchanged_row($person->{id});
        for my $name (sort keys %way) {
            my @clients = map { IO::Socket::INET->new(PeerAddr => "127.0.0.1:$node->{port}") } 1 .. 12;

            print {$_} join '', @{$way{$name}} for @clients;
            $_->flush for @clients;
            ok(wait_for(10, sub { descriptors($child)->{files} == @clients }),
                "$name: each picture on its way has one file");
            is_deeply([temporary_files()], [], "$name: and that has no name");
            close $_ for splice @clients;
            ok(wait_for(10, sub { descriptors($child)->{files} == 0 }), "$name: they leave, and the files are gone");
            ok(wait_for(10, sub { descriptors($child)->{all} <= $before->{all} + 12 }),
                "$name: and so are their connections") or diag explain [$before, descriptors($child)];
            nothing_happened($person, $row, $name);
        }
        is_profile(me('GET', token => $person->{token}, port => $node->{port}), {}, 'the child still serves');
        cmp_ok(descriptors($child)->{all}, '<=', $before->{all} + 12,
            'of the connections to other servers there are no more than clients at once');
    };

    subtest 'refusals leave nothing open' => sub {
        my $person = person();

        for (1 .. 5) {
            avatar('PUT', $person, 'GIF89a' x 1000, port => $node->{port});
            avatar('PUT', $person, png($MB5 + 1), port => $node->{port});
            me('PATCH', token => $person->{token}, port => $node->{port}, form => [part(png()), part(png())]);
        }
        ok(wait_for(10, sub { descriptors($child)->{files} == 0 }), 'no file');
        is_deeply([temporary_files()], [], 'nor a name');
    };
}

done_testing();
