#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
#
# A form of two texts and a picture means the same in whatever order its parts stand, however it is
# sent, and wherever the pieces end; cut off anywhere it means nothing. Every pair of cuts is
# build/unit/multipart's.
use strict;
use warnings;
use HTTP::Response ();
use IO::Socket::INET ();
use Socket qw(IPPROTO_TCP TCP_NODELAY);
use Test::More;
use UserProfile::Avatar;
use UserProfile::Test;

my $person = person(full_name => 'Ada', speaking_language => 'en');
my ($host) = url('') =~ m{^http://(.*)};
my @orders = ([0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]);
my $turn = 0;

journal_clear();
storage('reset');

# A new form each time, in this order of its parts, with what it has to come to.
sub form {
    my ($order, %option) = @_;
    my ($name, $language) = ('Ada ' . ++$turn, (qw(de fr es it))[$turn % 4]);
    my $picture = delete $option{picture} // png();
    my @parts = ({name => 'full_name', body => $name}, {name => 'speaking_language', body => $language}, part($picture));
    my ($type, $body) = multipart([@parts[@$order]], %option);

    return ($type, $body, $picture, {full_name => $name, speaking_language => $language});
}

# The head of a request.
sub head {
    my ($line, @headers) = @_;

    return join "\r\n", "$line HTTP/1.1", 'Host: localhost', "Authorization: Bearer $person->{token}", @headers, '', '';
}

# Sends the pieces of a body one after the other, each in a packet of its own; returns the answer.
sub send_pieces {
    my ($type, $framing, @pieces) = @_;
    my $client = IO::Socket::INET->new(PeerAddr => $host) or die "connect: $!\n";
    my $head = head("PATCH $ME", "Content-Type: $type", 'Connection: close', $framing);

    local $SIG{PIPE} = 'IGNORE';
    setsockopt $client, IPPROTO_TCP, TCP_NODELAY, 1;
    syswrite $client, $_ for $head, @pieces;
    $client->shutdown(1);
    local $/;
    return HTTP::Response->parse(scalar <$client>);
}

sub chunks {
    my (@pieces) = @_;

    return map({ sprintf("%x\r\n", length) . "$_\r\n" } grep { length } @pieces), "0\r\n\r\n";
}

# One check that the form was taken whole: the profile, the row, the storage, the journal.
sub is_taken {
    my ($res, $picture, $texts, $name) = @_;
    my $row = user_row($person->{id});
    my $asset = asset_of($row->{avatar_url});
    my @wrong = map { "$_ is " . ($row->{$_} // 'NULL') } grep { ($row->{$_} // '') ne $texts->{$_} } sort keys %$texts;
    local $Test::Builder::Level = $Test::Builder::Level + 1;

    push @wrong, 'the status is ' . $res->code unless $res->code == 200;
    push @wrong, 'the assets are ' . join ', ', assets() unless join(',', assets()) eq ($asset // '?');
    push @wrong, 'its bytes differ' if !@wrong && delivered($asset) ne $picture;
    push @wrong, 'the journal has ' . join ', ', journal() if journal();
    return ok(!@wrong, $name) || diag(map({ "  $_\n" } @wrong), $res->as_string);
}

for my $order (@orders) {
    my $name = 'order ' . join ' ', map { (qw(full_name speaking_language avatar))[$_] } @$order;
    my ($type, $body, @want) = form($order);

    is_taken(send_pieces($type, 'Content-Length: ' . length $body, $body), @want, "$name: at once");
    for my $size (1, 7, 61, 8000) {
        ($type, $body, @want) = form($order, preamble => "--\r\n", epilogue => 'x');
        is_taken(send_pieces($type, 'Transfer-Encoding: chunked', join '', chunks(unpack "(a$size)*", $body)), @want,
            "$name: in chunks of $size");
    }
    ($type, $body, @want) = form($order);
    is_taken(send_pieces($type, 'Content-Length: ' . length $body, unpack '(a11)*', $body), @want,
        "$name: in packets of 11 bytes");
}

# Every cut of one form, in two packets or two chunks by turns.
{
    my ($type, $body, $picture, $texts) = form([0, 2, 1], boundary => 'b');
    my $wrong = 0;

    for my $cut (1 .. length($body) - 1) {
        my @pieces = (substr($body, 0, $cut), substr $body, $cut);
        my $res = $cut % 2 ? send_pieces($type, 'Content-Length: ' . length $body, @pieces)
            : send_pieces($type, 'Transfer-Encoding: chunked', chunks(@pieces));

        $wrong++ unless $res->code == 200 && (json($res) // {})->{full_name} eq $texts->{full_name};
    }
    is($wrong, 0, length($body) - 1 . ' cuts of a form: each is taken');
    is_taken(send_pieces($type, 'Content-Length: ' . length $body, $body), $picture, $texts, 'and once more at once');

    # And the same form, ended at each of its bytes.
    my $before = unchanged_row($person->{id});
    storage('reset');
    for my $end (0 .. length($body) - 3) {
        my $part = substr $body, 0, $end;
        my $res = $end % 3 == 0 ? send_pieces($type, 'Content-Length: ' . length $part, $part)
            : $end % 3 == 1 ? send_pieces($type, 'Transfer-Encoding: chunked', chunks($part))
            : send_pieces($type, 'Content-Length: ' . length $body, $part);

        $wrong++ unless $res->code == 400;
    }
    is($wrong, 0, length($body) - 2 . ' beginnings of a form: each is refused');
    is(unchanged_row($person->{id}), $before, 'nothing has changed');
    is_deeply([calls()], [], 'nothing was sent to the storage');
    is_deeply([journal()], [], 'the journal is empty');
}

# What comes behind a form in the same packets is the next request.
for my $kb (1, 30, 70) {
    my ($type, $body, $picture, $texts) = form([2, 0, 1], picture => png($kb * 1024));
    my $client = IO::Socket::INET->new(PeerAddr => $host) or die "connect: $!\n";

    print {$client} head("PATCH $ME", "Content-Type: $type", 'Content-Length: ' . length $body), $body,
        head("GET $ME"), head("GET $ME", 'Connection: close');
    $client->flush;
    my @answers = do { local $/; split /(?=HTTP\/1\.1 )/, <$client> };

    is(scalar @answers, 3, "a form of $kb KiB and two more requests in one go: three answers");
    is_taken(HTTP::Response->parse($answers[0]), $picture, $texts, '... the form is taken');
    is(json(HTTP::Response->parse($_))->{full_name}, $texts->{full_name}, '... and so is what is behind it') for @answers[1, 2];
}

avatar('DELETE', $person);
done_testing();
