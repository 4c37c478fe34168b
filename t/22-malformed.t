#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
#
# Bodies that can't be read: no JSON, no form, too much, of another type. Each is refused with its
# own code before anything is written; what can be told before the body is, is told then.
use strict;
use warnings;
use HTTP::Response ();
use IO::Socket::INET ();
use JSON::PP ();
use Test::More;
use UserProfile::Test;

my $JSON = JSON::PP->new->utf8->canonical->allow_nonref;
my $user = user_new(full_name => 'Ada Lovelace', speaking_language => 'en',
    listening_language => 'fr', updated_at => '2020-02-02 02:02:02+00');
my $token = token(sub => $user->{email});
wait_for(10, sub { !journal() });
redis('FLUSHALL');
my $uploads = storage('requests')->{count};

sub journal {
    return db()->selectrow_array('SELECT count(*) FROM userprofile_journal');
}

sub patch {
    my ($type, $body, %option) = @_;

    return me('PATCH', token => $token, type => $type, body => $body, %option);
}

sub nothing_written {
    my ($name) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;

    my ($before, $row) = ($user, user_row($user->{id}));

    local $Test::Builder::Level = $Test::Builder::Level + 1;
    # Where it has changed, that is one failure and not all the rest.
    $user = $row;
    return is_deeply($row, $before, "$name: nothing is written");
}

# Checks that a body is refused: refused($response, $status, $code, $name).
sub refused {
    my ($response, $status, $code, $name) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my $good = is_error($response, $status, $code, $name);

    return nothing_written($name) && $good;
}

sub malformed_json {
    my ($body, $name) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;

    return refused(patch('application/json', $body), 400, 'MALFORMED_JSON', "JSON: $name");
}

sub malformed_form {
    my ($body, $name, $type) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;

    return refused(patch($type // 'multipart/form-data; boundary=b', $body), 400,
        'MALFORMED_MULTIPART', "a form: $name");
}

# A body that is taken: it names nobody's field, or the value that the user has, so that all tests
# can go on with the same user. It is an update where it names one.
sub taken {
    my ($response, $name) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;

    is_profile($response, {full_name => 'Ada Lovelace', speaking_language => 'en'}, $name);
    $user = user_row($user->{id});
    return is($user->{full_name}, 'Ada Lovelace', "$name: stored");
}

# The user's request as it goes over the wire: its own headers, and the body as it is.
sub http {
    my ($headers, $body) = @_;

    return join("\r\n", "PATCH $ME HTTP/1.1", 'Host: localhost', "Authorization: Bearer $token",
        @$headers) . "\r\n\r\n$body";
}

# Sends it, then says that nothing more will come; returns the answer, or undef.
sub cut_off {
    my ($request) = @_;
    my ($port) = url('/') =~ /:(\d+)/;
    my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $port) or die $!;

    print {$socket} $request;
    $socket->flush;
    $socket->shutdown(1);
    local $SIG{ALRM} = sub { die "no answer\n" };
    alarm 10;
    my $answer = do { local $/; <$socket> };
    alarm 0;
    return $answer;
}

sub chunked {
    my ($body, $size) = @_;

    return (join '', map { sprintf("%x\r\n", length) . "$_\r\n" } unpack "(a$size)*", $body)
        . "0\r\n\r\n";
}

# What came back as bytes, as a response.
sub parsed {
    my ($answer) = @_;

    return HTTP::Response->parse($answer);
}

# --- JSON -----------------------------------------------------------------------------------------

my $good = '{"full_name":"Ada"}';
my %no_object = (
    'nothing' => '', 'a blank' => ' ', 'a line end' => "\r\n", 'an empty array' => '[]',
    'an array of one object' => "[$good]", 'a merge patch of null' => 'null', 'true' => 'true',
    'a number' => '12', 'a string' => '"full_name"', 'a name alone' => 'full_name',
    'a form in its place' => 'full_name=Ada',
);
malformed_json($no_object{$_}, "$_ is no object") for sort keys %no_object;

my %syntax = (
    'trailing text' => "$good x", 'a second object' => $good . $good, 'a trailing comma' => "$good,",
    'a closing brace too many' => "$good}", 'a NUL after it' => "$good\0", 'a NUL before it' => "\0$good",
    'a NUL after a number' => "{\"full_name\":\"Ada\",\"x\":1\0}",
    'a NUL after a literal' => "{\"x\":null\0,\"full_name\":\"Ada\"}",
    'a byte order mark' => "\xef\xbb\xbf$good", 'UTF-16' => join('', map { "$_\0" } split //, $good),
    'UTF-16 with its mark' => "\xff\xfe" . join('', map { "$_\0" } split //, $good),
    'cut short' => '{"full_name":"Ada"', 'cut short in a string' => '{"full_name":"Ad',
    'a comma at the end' => '{"full_name":"Ada",}', 'single quotes' => "{'full_name':'Ada'}",
    'a bare name' => '{full_name:"Ada"}', 'no colon' => '{"full_name" "Ada"}',
    'a number for a name' => '{1:"Ada"}', 'a comment' => '{/* */"full_name":"Ada"}',
    'a line comment' => "{\"full_name\":\"Ada\"} // Ada", 'NaN' => '{"full_name":NaN}',
    'a hex number' => '{"x":0x1}', 'a leading zero' => '{"x":01}', 'a plus' => '{"x":+1}',
    'a bare point' => '{"x":.5}', 'True' => '{"x":True}', 'a raw line end in a string' =>
        "{\"full_name\":\"A\nda\"}", 'a raw NUL in a string' => "{\"full_name\":\"A\0da\"}",
    'a raw tab in a string' => "{\"full_name\":\"A\tda\"}", 'an unknown escape' => '{"full_name":"\x41"}',
    'a short escape' => '{"full_name":"\u41"}', 'a form feed between' => "{\f\"full_name\":\"Ada\"}",
    'a no-break space between' => "{\xc2\xa0\"full_name\":\"Ada\"}",
    'crossed brackets' => '{"x":[}]', 'two values' => '{"full_name":"Ada" "K"}',
);
malformed_json($syntax{$_}, $_) for sort keys %syntax;

my %twice = (
    'a field' => '{"full_name":"Ada","full_name":"Eve"}', 'a field, the same value' =>
        '{"full_name":"Ada","full_name":"Ada"}', 'a field, once escaped' =>
        '{"full_name":"Ada","full\u005fname":"Eve"}', 'a read-only field' => '{"id":1,"id":1}',
    'an unknown one' => '{"x":1,"full_name":"Ada","x":2}', 'an empty name' => '{"":1,"":2}',
    'the second level' => '{"x":{"a":1,"a":1},"full_name":"Ada"}',
    'a level in arrays' => '{"x":[[{"a":{"b":1,"b":2}}]],"full_name":"Ada"}',
    'a field as null and as text' => '{"full_name":null,"full_name":"Ada"}',
);
malformed_json($twice{$_}, "a key twice: $_") for sort keys %twice;
taken(patch('application/json', '{"x":[{"a":1},{"a":2}],"y":{"a":1,"A":2}}'),
    'JSON: a key in two objects is not twice');

sub nested {
    my ($open, $close, $levels) = @_;

    return '{"x":' . $open x $levels . '1' . $close x $levels . ',"full_name":"Ada Lovelace"}';
}
taken(patch('application/json', nested('[', ']', 31)), 'JSON: 32 levels of arrays');
taken(patch('application/json', nested('{"y":', '}', 31)), 'JSON: 32 levels of objects');
taken(patch('application/json', '{"x":"' . '[{' x 99 . '\"[","full_name":"Ada Lovelace"}'),
    'JSON: brackets in a string are no levels');
malformed_json(nested('[', ']', 32), '33 levels of arrays');
malformed_json(nested('{"y":', '}', 32), '33 levels of objects');
malformed_json(nested('[{"y":', '}]', 16), '33 levels of both');
malformed_json('{"x":' . '[' x 60_000, '60,000 levels that never end');
malformed_json(nested('[', ']', 2_048), "2,049 levels, one more than jansson's own limit");
malformed_json(nested('[', ']', 30_000), '30,000 levels');

# --- JSON: 64 KiB ---------------------------------------------------------------------------------

for my $case (
    ['in an unknown member', '{"full_name":"Ada Lovelace","x":"', 'x', '"}'],
    ['of blanks at the end', '{"full_name":"Ada Lovelace"}', ' ', ''],
    ['of blanks at the start', '', "\n", '{"full_name":"Ada Lovelace"}'],
    ) {
    my ($where, $start, $fill, $end) = @$case;
    my $make = sub { $start . $fill x ($_[0] - length "$start$end") . $end };
    my @json = ('Content-Type: application/json', 'Connection: close');

    taken(patch('application/json', $make->(65_536)), "JSON: 65,536 bytes, $where");
    refused(patch('application/json', $make->(65_537)), 413, 'BODY_TOO_LARGE',
        "JSON: 65,537 bytes, $where");
    for my $size (1000, 65_536, 7) {
        next if $size == 7 && $where !~ /member/;
        taken(parsed(scalar raw(http([@json, 'Transfer-Encoding: chunked'],
            chunked($make->(65_536), $size)))), "JSON: 65,536 bytes in chunks of $size, $where");
        refused(parsed(scalar raw(http([@json, 'Transfer-Encoding: chunked'],
            chunked($make->(65_537), $size)))), 413, 'BODY_TOO_LARGE',
            "JSON: 65,537 bytes in chunks of $size, $where");
    }
}
refused(patch('application/json', 'x' x 65_537), 413, 'BODY_TOO_LARGE',
    'JSON: 65,537 bytes that are none');
{
    my $answer = raw(http(['Content-Type: application/json', 'Connection: close'], ''));

    refused(parsed($answer), 400, 'MALFORMED_JSON', 'JSON: no body and no Content-Length');
    $answer = cut_off(http(['Content-Type: application/json', 'Content-Length: 20'], $good));
    like($answer, qr{\AHTTP/1\.1 400 }, 'JSON: a client that leaves before the last byte');
    nothing_written('JSON: a client that leaves before the last byte');
    $answer = cut_off(http(['Content-Type: application/json', 'Transfer-Encoding: chunked'],
        chunked($good, 8) =~ s/0\r\n\r\n\z//r));
    like($answer, qr{\AHTTP/1\.1 400 }, 'JSON: a client that leaves before the last chunk');
    nothing_written('JSON: a client that leaves before the last chunk');
}

SKIP: {
    my $folder = corpora('json-nst/test_parsing')
        or skip 'no corpora: set UP_CORPORA for the tests of JSONTestSuite', 1;
    my %count;

    for my $file (sort glob "$folder/*.json") {
        my ($name, $kind) = $file =~ m{/((.)_[^/]*)\.json\z};
        my $body = slurp($file);
        my $response = patch('application/json', $body);

        $count{$kind}++;
        if ($kind eq 'n') {
            my @want = length $body > 65_536 ? (413, 'BODY_TOO_LARGE') : (400, 'MALFORMED_JSON');
            refused($response, @want, "JSONTestSuite: $name");
            next;
        }
        # Whether it is taken or not: it is no fault of the server's, and there is nothing to write.
        # RFC 8259, section 9: limits on numbers and on what a string holds are a parser's to set.
        my $taken = $response->code == 200;
        $taken ? is_profile($response, {full_name => 'Ada Lovelace'}, "JSONTestSuite: $name")
            : is_error($response, 400, 'MALFORMED_JSON', "JSONTestSuite: $name");
        ok($taken, "JSONTestSuite: $name: an object that is valid JSON is taken")
            if $kind eq 'y' && $body =~ /\A\s*\{/ && $name !~ /duplicated|escaped_null/;
        ok(!$taken, "JSONTestSuite: $name: no object") unless $body =~ /\A\s*\{/;
        nothing_written("JSONTestSuite: $name");
    }
    cmp_ok($count{n}, '>', 150, 'JSONTestSuite: files that are no JSON');
    cmp_ok($count{y}, '>', 80, 'JSONTestSuite: files that are JSON');

    # Most are no objects, and so refused for that: here each is a member of one, of no field.
    my %verdict;
    for my $file (sort glob "$folder/*.json $folder/../test_transform/*.json") {
        my ($kind, $name) = $file =~ m{test_(?:parsing/(.)_|transform/)([^/]*)\.json\z};
        my $response = patch('application/json', '{"x":' . slurp($file) . '}');
        my $taken = $response->code == 200;

        $kind //= 'transform';
        $verdict{$kind}{$taken ? 'taken' : 'refused'}++;
        like($response->code, qr/^(?:200|400|413)$/, "JSONTestSuite, as a member: $kind $name");
        ok(!$taken, "JSONTestSuite, as a member: $name is no JSON") if $kind eq 'n';
        ok($taken, "JSONTestSuite, as a member: $name is JSON")
            if $kind eq 'y' && $name !~ /duplicated|escaped_null/;
        nothing_written("JSONTestSuite, as a member: $name");
    }
    note explain \%verdict;
}

# --- Media types ----------------------------------------------------------------------------------

for my $type (
    'text/plain', 'text/json', 'application/xml', 'application/x-www-form-urlencoded',
    'application/json-patch+json', 'application/problem+json', 'application/jsonx', 'application/jso',
    'xapplication/json', 'application/octet-stream', 'image/png', 'multipart/mixed; boundary=b',
    'multipart/related; boundary=b', 'multipart/form-data2; boundary=b',
    'multipart/form-data; boundary=', 'application', 'json', '/', '*/*',
    'application/', '/json', 'application/json, text/plain', 'application/json application/json',
    'application/json; charset', 'application/json; charset="utf-8',
    'application/json; charset=utf-8; charset=utf-8', '"application/json"', 'application /json',
    'application/json; =', 'x' x 4000, 'application/json' . '; a=b' x 500,
    ) {
    refused(patch($type, $good), 415, 'UNSUPPORTED_MEDIA_TYPE',
        'Content-Type: ' . $JSON->encode(substr $type, 0, 60));
}
refused(parsed(scalar raw(http([@$_, 'Content-Length: 19', 'Connection: close'], $good))), 415,
    'UNSUPPORTED_MEDIA_TYPE', "Content-Type: @$_")
    for [], ['Content-Type:'], ['Content-Type: '], [('Content-Type: application/json') x 2],
    ['Content-Type: application/json', 'Content-Type: text/plain'];
for my $coding ('gzip', 'GZIP', 'deflate', 'br', 'x-gzip', 'gzip, identity', 'unknown', 'identity, gzip') {
    refused(patch('application/json', $good, headers => {'Content-Encoding' => $coding}), 415,
        'UNSUPPORTED_MEDIA_TYPE', "Content-Encoding: $coding");
    refused(patch('multipart/form-data; boundary=b', "--b--\r\n",
        headers => {'Content-Encoding' => $coding}), 415, 'UNSUPPORTED_MEDIA_TYPE',
        "a form, Content-Encoding: $coding");
}

# --- Forms ----------------------------------------------------------------------------------------

# A form of one part: the lines of its headers, and its text.
sub form {
    my ($headers, $text) = @_;

    return "--b\r\n$headers\r\n$text\r\n--b--\r\n";
}
my $NAMED = 'Content-Disposition: form-data; name="full_name"' . "\r\n";
taken(patch('multipart/form-data; boundary=b', form($NAMED, 'Ada Lovelace')), 'a form');

my $whole = "--b\r\n${NAMED}Content-Type: text/plain\r\n\r\nAda\r\n--b\r\nContent-Disposition: form-data; "
    . "name=speaking_language\r\n\r\nde\r\n--b--";
malformed_form(substr($whole, 0, $_), "ends early, after $_ of " . length($whole) . ' bytes')
    for 0 .. length($whole) - 1;
{
    my $type = 'Content-Type: multipart/form-data; boundary=b';
    my $answer = raw(http([$type, 'Connection: close', 'Transfer-Encoding: chunked'],
        chunked(substr($whole, 0, 99), 10)));

    refused(parsed($answer), 400, 'MALFORMED_MULTIPART', 'a form: ends early, in chunks');
    $answer = cut_off(http([$type, 'Content-Length: ' . length $whole], substr $whole, 0, 99));
    like($answer, qr{\AHTTP/1\.1 400 }, 'a form: a client that leaves early');
    nothing_written('a form: a client that leaves early');
}

my %headers = (
    'no headers' => '', 'no Content-Disposition' => "Content-Type: text/plain\r\n",
    'no name' => "Content-Disposition: form-data\r\n", 'an empty name' =>
        "Content-Disposition: form-data; name=\"\"\r\n", 'another disposition' =>
        "Content-Disposition: attachment; name=full_name\r\n", 'an open quote' =>
        "Content-Disposition: form-data; name=\"full_name\r\n", 'two names' =>
        "Content-Disposition: form-data; name=full_name; name=x\r\n", 'an extended name' =>
        "Content-Disposition: form-data; name*=UTF-8''full_name\r\n",
    'a disposition twice' => $NAMED . $NAMED, 'a folded line' =>
        "Content-Disposition: form-data;\r\n name=full_name\r\n", 'a fold in the first line' =>
        " $NAMED", 'bare line feeds' => $NAMED =~ s/\r//r, 'a bare carriage return' =>
        "X: a\rb\r\n$NAMED", 'a NUL' => "X: a\0b\r\n$NAMED", 'a NUL in the name' =>
        "Content-Disposition: form-data; name=\"full\0name\"\r\n", 'no colon' => "Nonsense\r\n$NAMED",
    'no name before a colon' => ": x\r\n$NAMED", 'a blank before a colon' =>
        "Content-Disposition : form-data; name=full_name\r\n", 'base64' =>
        "${NAMED}Content-Transfer-Encoding: base64\r\n", 'quoted-printable' =>
        "${NAMED}Content-Transfer-Encoding: quoted-printable\r\n", 'a type twice' =>
        "${NAMED}Content-Type: text/plain\r\nContent-Type: text/plain\r\n",
);
malformed_form(form($headers{$_}, 'Ada'), "headers: $_") for sort keys %headers;

my %bodies = (
    'nothing' => '', 'text' => 'full_name=Ada', 'JSON' => $good, 'line ends' => "\r\n\r\n",
    'another boundary' => form($NAMED, 'Ada') =~ s/--b/--c/gr,
    'one hyphen' => form($NAMED, 'Ada') =~ s/--b/-b/gr,
    'no line end before the delimiter' => "--b\r\n$NAMED\r\nAda--b--\r\n", 'bare line feeds' =>
        form($NAMED, 'Ada') =~ s/\r//gr, 'no close delimiter' => "--b\r\n$NAMED\r\nAda\r\n--b\r\n",
    'text after a delimiter' => "--b x\r\n$NAMED\r\nAda\r\n--b--\r\n", '100 blanks after a delimiter' =>
        '--b' . ' ' x 100 . "\r\n$NAMED\r\nAda\r\n--b--\r\n", 'a preamble that never ends' => 'x' x 1000,
    'half a close delimiter' => "--b\r\n$NAMED\r\nAda\r\n--b-\r\n",
);
malformed_form($bodies{$_}, $_) for sort keys %bodies;
{
    my $someone = user_new();
    my $text = "--b- \t--bx";

    is_profile(me('PATCH', token => token(sub => $someone->{email}), body => form($NAMED, $text =~ s/\t/x/r),
        type => 'multipart/form-data; boundary=b'), {full_name => '--b- x--bx'},
        'a form: what is nearly a delimiter is text');
}

my @parts = map { "--b\r\nContent-Disposition: form-data; name=x$_\r\n\r\n$_\r\n" } 1 .. 15;
my $last = "--b\r\n$NAMED\r\nAda Lovelace\r\n--b--\r\n";
taken(patch('multipart/form-data; boundary=b', join '', @parts, $last), 'a form: 16 parts');
malformed_form(join('', @parts, $parts[0], $last), '17 parts');
malformed_form(join('', (@parts) x 20), '300 parts and no end');

sub padded {
    my ($size) = @_;
    my $pad = "X-Pad: \r\n";

    return form("X-Pad: " . 'x' x ($size - length("$pad$NAMED")) . "\r\n$NAMED", 'Ada Lovelace');
}
taken(patch('multipart/form-data; boundary=b', padded(8192)), 'a form: 8 KiB of headers in a part');
malformed_form(padded(8193), 'a byte more than 8 KiB of headers in a part');
malformed_form("--b\r\n" . "X: y\r\n" x 3000 . "$NAMED\r\nAda\r\n--b--\r\n", 'headers: 3,000 lines');
malformed_form("--b\r\nX: " . 'y' x 60_000, 'a header that never ends');

# Each is a whole form but for its boundary, which RFC 2046 does not allow.
for my $boundary ('b' x 71, 'b ', 'b<>', 'b"', "b\xe9", 'b@') {
    malformed_form(form($NAMED, 'Ada') =~ s/--b/--$boundary/gr,
        'boundary: ' . $JSON->encode($boundary),
        'multipart/form-data; boundary="' . $boundary =~ s/"/\\"/gr . '"');
}
malformed_form(form($NAMED, 'Ada') =~ s/--b/--/gr, 'boundary: ""',
    'multipart/form-data; boundary=""');
malformed_form(form($NAMED, 'Ada'), 'no boundary', 'multipart/form-data');
malformed_form(form($NAMED, 'Ada'), 'a charset and no boundary', 'multipart/form-data; charset=utf-8');

for my $case (['a field', 'full_name', 'Ada', 'Eve'], ['a field, the same value', 'full_name', 'Ada', 'Ada'],
    ['a field, empty first', 'full_name', '', 'Ada'], ['a field, invalid first', 'full_name', "\1", 'Ada'],
    ['a field, invalid then', 'speaking_language', 'en', 'xx'], ['a read-only field', 'id', 1, 1]) {
    my ($what, $name, @values) = @$case;

    malformed_form("--b\r\nContent-Disposition: form-data; name=$name\r\n\r\n$values[0]\r\n"
        . "--b\r\nContent-Disposition: form-data; name=x\r\n\r\n1\r\n"
        . "--b\r\nContent-Disposition: form-data; name=\"$name\"\r\n\r\n$values[1]\r\n--b--\r\n",
        "twice: $what");
}
malformed_form("--b\r\nContent-Disposition: form-data; name=full_name\r\n\r\n\1\r\n--b",
    'an invalid value in a form that ends early: the form comes first');

for my $case (
    ['of an unknown part', sub { form("Content-Disposition: form-data; name=x\r\n", 'x' x $_[0]) }],
    ['of blanks around a name', sub { form($NAMED, ' ' x ($_[0] - 12) . 'Ada Lovelace') }],
    ['of preamble', sub { 'x' x $_[0] . "\r\n" . form($NAMED, 'Ada Lovelace') }],
    ['of epilogue', sub { form($NAMED, 'Ada Lovelace') . 'x' x $_[0] }],
    ['of a file that nobody asked for',
        sub { form("Content-Disposition: form-data; name=x; filename=x\r\n", 'x' x $_[0]) }],
    ) {
    my ($what, $make) = @$case;
    my $frame = length($make->(100)) - 100;

    taken(patch('multipart/form-data; boundary=b', $make->(65_536 - $frame)),
        "a form: 64 KiB, most of it $what");
    malformed_form($make->(65_537 - $frame), "a byte more than 64 KiB, most of it $what");
    malformed_form($make->(200_000), "200,000 bytes, most of it $what");
    my $answer = raw(http(['Content-Type: multipart/form-data; boundary=b', 'Connection: close',
        'Transfer-Encoding: chunked'], chunked($make->(65_537 - $frame), 8000)));
    refused(parsed($answer), 400, 'MALFORMED_MULTIPART',
        "a form: a byte more than 64 KiB in chunks, most of it $what");
}

# --- Told before the body is read -----------------------------------------------------------------

my @early = (
    ['JSON that is too large', 413, 'BODY_TOO_LARGE', 'Content-Type: application/json',
        'Content-Length: 65537'],
    ['JSON of 5 GB', 413, 'BODY_TOO_LARGE', 'Content-Type: application/merge-patch+json',
        'Content-Length: 5368709120'],
    ['a form that is too large even with a picture', 413, 'FILE_TOO_LARGE',
        'Content-Type: multipart/form-data; boundary=b', 'Content-Length: 6000000'],
    ['another media type', 415, 'UNSUPPORTED_MEDIA_TYPE', 'Content-Type: text/plain',
        'Content-Length: 100'],
    ['no media type', 415, 'UNSUPPORTED_MEDIA_TYPE', 'Content-Length: 100'],
    ['a content coding', 415, 'UNSUPPORTED_MEDIA_TYPE', 'Content-Type: application/json',
        'Content-Encoding: gzip', 'Content-Length: 100'],
    ['another media type in chunks', 415, 'UNSUPPORTED_MEDIA_TYPE', 'Content-Type: text/plain',
        'Transfer-Encoding: chunked'],
    ['no boundary', 400, 'MALFORMED_MULTIPART', 'Content-Type: multipart/form-data',
        'Content-Length: 100'],
);
for my $case (@early) {
    my ($what, $status, $code, @headers) = @$case;

    for my $expect ('', 'Expect: 100-continue') {
        my $name = "early: $what" . ($expect ? ', with Expect' : '');
        my ($answer, $closed) = raw(http([@headers, $expect || ()], ''));

        unlike($answer, qr/100 Continue/, "$name: no word that the body is wanted");
        refused(parsed($answer), $status, $code, $name);
        ok($closed, "$name: the connection is closed");
    }

    # Its body would be a request of its own, if it were read as one.
    my $smuggled = http(['Content-Type: application/json', 'Content-Length: 19', 'Connection: close'],
        $good);
    my ($answer) = raw(http(\@headers, $smuggled));
    is(scalar(() = $answer =~ m{HTTP/1\.1 }g), 1, "early: $what: what follows is no request");
    nothing_written("early: $what: what follows is no request");
}
{
    my $answer = raw([http(['Content-Type: application/json', 'Content-Length: 28',
        'Expect: 100-continue', 'Connection: close'], ''), 0.2, '{"full_name":"Ada Lovelace"}']);

    like($answer, qr{\AHTTP/1\.1 100 Continue\r\n}, 'a body that is wanted: 100 Continue');
    taken(parsed($answer =~ s/\A.*?\r\n\r\n//sr), 'and then it is read');
}

is(storage('requests')->{count}, $uploads, 'nothing of all this has asked anything of the storage');
is(journal(), 0, 'or left anything in the journal');
is(redis('DBSIZE'), 0, 'or in Redis');
is_profile(me('GET', token => $token), {full_name => 'Ada Lovelace'}, 'and the user is still served');

done_testing();
