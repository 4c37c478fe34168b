#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
#
# Every value that is refused, and those beside the border that are not: names in code points, NFC
# and control characters; languages by IANA's registry; all invalid fields told at once.
use strict;
use warnings;
use utf8;
use Encode qw(encode decode);
use JSON::PP ();
use Test::More;
use Unicode::Normalize qw(NFC);
use UserProfile::Test;

my $JSON = JSON::PP->new->utf8->canonical->allow_nonref;
my $NAME = {full_name => 'VALIDATION_ERROR'};
my $user = user_new(full_name => 'Ada Lovelace', speaking_language => 'en',
    listening_language => 'fr', updated_at => '2020-02-02 02:02:02+00');
my $token = token(sub => $user->{email});
wait_for(10, sub { !journal() });
redis('FLUSHALL');
my $uploads = storage('requests')->{count};

sub journal {
    return db()->selectrow_array('SELECT count(*) FROM userprofile_journal');
}

# The answer's code is that of a language where one is wrong.
sub code_of {
    my ($fields) = @_;

    return (grep { $_ eq 'INVALID_LANGUAGE_CODE' } values %$fields)
        ? 'INVALID_LANGUAGE_CODE' : 'VALIDATION_ERROR';
}

# Checks that a PATCH is refused with these fields and codes, and that the row is as it was. $body is
# a hash, JSON as bytes, or a list of a form's parts.
sub refused {
    my ($body, $fields, $name) = @_;
    my $response = me('PATCH', token => $token,
        ref $body eq 'ARRAY' ? (form => $body)
        : (type => 'application/json', body => ref $body ? $JSON->encode($body) : $body));
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my $good = is_error($response, 400, code_of($fields), $name, fields => $fields);

    return is_deeply(user_row($user->{id}), $user, "$name: nothing is written") && $good;
}

# Checks that a field takes a value, given as JSON would or as a part, and stores it as expected.
sub taken {
    my ($field, $value, $expected, $name) = @_;
    my $someone = user_new(full_name => 'somebody');
    local $Test::Builder::Level = $Test::Builder::Level + 1;

    is_profile(me('PATCH', token => token(sub => $someone->{email}), json => {$field => $value}),
        {$field => $expected}, $name);
    return is(user_row($someone->{id})->{$field}, $expected, "$name: stored");
}

# --- full_name: kinds -----------------------------------------------------------------------------

for my $value ('1', '0', '-1.5', '1e3', 'true', 'false', '[]', '["Ada"]', '{}', '{"full_name":"Ada"}',
    '[null]') {
    refused(qq({"full_name":$value}), $NAME, "full_name: $value is no string");
}
taken(full_name => $_, $_, "full_name: \"$_\" is a string like any other")
    for qw(0 1 true null NULL {} [] \\N), "'", '"', '\\', '%s%n', '<b>Ada</b>', '$1', '-';

# --- full_name: length ----------------------------------------------------------------------------

my @lengths = (
    # what it is, one character of it, what that is stored as
    ['ASCII', 'a', 'a'],
    ['of two bytes', "\x{e9}", "\x{e9}"],
    ['of three bytes', "\x{20ac}", "\x{20ac}"],
    ['beyond the BMP', "\x{1f600}", "\x{1f600}"],
    ['the last of all', "\x{10fffd}", "\x{10fffd}"],
    ['composed to one', "e\x{301}", "\x{e9}"],
    ['composed of three', "\x{1100}\x{1161}\x{11a8}", "\x{ac01}"],
    ['a compatibility character', "\x{212b}", "\x{c5}"],
);
for my $case (@lengths) {
    my ($what, $character, $stored) = @$case;

    taken(full_name => $character x 255, $stored x 255, "full_name: 255 characters, $what");
    refused({full_name => $character x 256}, $NAME, "full_name: 256 characters, $what");
}
taken(full_name => $_, $_, 'full_name: one character') for 'x', "\x{301}", "\x{1f600}", "\x{ffff}";

# One that is excluded from composition: NFC makes two of it.
taken(full_name => "\x{958}" x 127, "\x{915}\x{93c}" x 127, 'full_name: 127 characters that become 254');
refused({full_name => "\x{958}" x 128}, $NAME, 'full_name: 128 characters that become 256');
taken(full_name => "b" . "\x{344}" x 127, "b" . "\x{308}\x{301}" x 127,
    'full_name: 128 characters that become 255');
taken(full_name => 'a' . "\x{316}\x{300}" x 127, NFC('a' . "\x{316}\x{300}" x 127),
    'full_name: 255 characters of which 254 are marks to be sorted');

taken(full_name => " \x{3000}\n" x 200 . 'a' x 255 . "\t" x 999, 'a' x 255,
    'full_name: 255 characters after trimming');
refused({full_name => ' ' . 'a' x 128 . ' ' . 'a' x 127 . ' '}, $NAME,
    'full_name: 256 characters after trimming, a blank within');
refused({full_name => 'a' x 60_000}, $NAME, 'full_name: 60,000 characters');
refused({full_name => "a" . "\x{301}" x 30_000}, $NAME, 'full_name: 30,000 marks');
refused([{name => 'full_name', body => 'a' x 256}], $NAME, 'full_name: 256 characters, in a form');
refused([{name => 'full_name', body => encode('UTF-8', "\x{1f600}" x 256)}], $NAME,
    'full_name: 256 characters beyond the BMP, in a form');

# --- full_name: Unicode ---------------------------------------------------------------------------

for my $case (
    ["A\x{30a}", "\x{c5}"],
    ["\x{212b}\x{2126}", "\x{c5}\x{3a9}"],
    ["\x{1112}\x{1161}\x{11ab}", "\x{d55c}"],
    ["q\x{307}\x{323}", "q\x{323}\x{307}"],
    ["\x{fb01}\x{2460}", "\x{fb01}\x{2460}"],
    ["\x{1f468}\x{200d}\x{1f469}\x{200d}\x{1f467}", "\x{1f468}\x{200d}\x{1f469}\x{200d}\x{1f467}"],
    ["\x{5d0}\x{202e}\x{5d1}", "\x{5d0}\x{202e}\x{5d1}"],
    ["\x{200b}Ada\x{feff}", "\x{200b}Ada\x{feff}"],
    ["\x{2060}\x{180e}", "\x{2060}\x{180e}"],
    ["\x{e000}\x{fdd0}\x{10ffff}", "\x{e000}\x{fdd0}\x{10ffff}"],
    ) {
    my ($given, $stored) = @$case;
    my $what = join ' ', map { sprintf 'U+%04X', ord } split //, $given;

    taken(full_name => $given, $stored, "full_name: $what");
}

# White_Space by PropList.txt, all of it.
my @blanks = (0x09 .. 0x0d, 0x20, 0x85, 0xa0, 0x1680, 0x2000 .. 0x200a, 0x2028, 0x2029, 0x202f, 0x205f,
    0x3000);
is(scalar @blanks, 25, 'there are 25 characters of White_Space');
for my $blank (@blanks) {
    my $name = sprintf 'full_name: U+%04X', $blank;
    my $c = chr $blank;

    taken(full_name => "$c${c}A$c", 'A', "$name is trimmed at both ends");
    taken(full_name => "$c$c", undef, "$name alone is null");
}

my @controls = (0x00 .. 0x1f, 0x7f .. 0x9f);
for my $control (@controls) {
    my $name = sprintf 'U+%04X', $control;

    refused({full_name => 'A' . chr($control) . 'a'}, $NAME, "full_name: $name within");
    refused({full_name => 'Ada' . chr $control}, $NAME, "full_name: $name at the end")
        unless grep { $_ == $control } @blanks;
}
refused('{"full_name":"\u0000"}', $NAME, 'full_name: U+0000 alone');
refused('{"full_name":"\u0000Ada"}', $NAME, 'full_name: U+0000 first');
refused([{name => 'full_name', body => "Ada\0"}], $NAME, 'full_name: U+0000 last, in a form');
refused([{name => 'full_name', body => "\0"}], $NAME, 'full_name: U+0000 alone, in a form');
refused([{name => 'full_name', body => "A\r\nda"}], $NAME, 'full_name: a line end within, in a form');
refused([{name => 'full_name', body => "A\xc2\x9fda"}], $NAME, 'full_name: U+009F, in a form');

# --- What is not UTF-8 ----------------------------------------------------------------------------

my %not_utf8 = (
    'a lone continuation byte' => "\x80", 'two bytes for U+0000' => "\xc0\x80",
    'two bytes for a slash' => "\xc0\xaf", 'three bytes for a slash' => "\xe0\x80\xaf",
    'a surrogate' => "\xed\xa0\x80", 'a pair of surrogates' => "\xed\xa0\xbd\xed\xb8\x80",
    'U+110000' => "\xf4\x90\x80\x80", 'five bytes' => "\xf8\x88\x80\x80\x80", 'FE' => "\xfe",
    'FF' => "\xff", 'a character cut short' => "\xe2\x82", 'Latin-1' => "\xe9",
);
for my $what (sort keys %not_utf8) {
    my $bytes = $not_utf8{$what};

    for my $value ($bytes, "Ada $bytes", "$bytes Ada") {
        my $shown = $value =~ s/([^ -~])/sprintf '\\x%02x', ord $1/ger;

        is_error(me('PATCH', token => $token, type => 'application/json',
            body => qq({"full_name":"$value"})), 400, 'MALFORMED_JSON', "JSON: $what, $shown");
        refused([{name => 'full_name', body => $value}], $NAME, "a form: $what, $shown");
    }
    is_error(me('PATCH', token => $token, type => 'application/json', body => qq({"$bytes":1})),
        400, 'MALFORMED_JSON', "JSON: $what, in a member's name that nobody knows");
    refused([{name => 'speaking_language', body => "en$bytes"}],
        {speaking_language => 'INVALID_LANGUAGE_CODE'}, "a form: $what, in a language");
}
for my $half ('\ud800', '\udfff', 'x\ud83d', '\ude00\ud83d', '\ud83d\u0041', '\uD83D\uD83D\uDE00') {
    is_error(me('PATCH', token => $token, type => 'application/json',
        body => qq({"full_name":"$half"})), 400, 'MALFORMED_JSON', "JSON: half a pair, $half");
}
is_deeply(user_row($user->{id}), $user, 'of all that nothing is written');
{
    my $someone = user_new();

    is_profile(me('PATCH', token => token(sub => $someone->{email}), type => 'application/json',
        body => '{"full_name":"\ud83D\uDe00\u00e9"}'), {full_name => "\x{1f600}\x{e9}"},
        'JSON: a whole pair is one character');
}

SKIP: {
    my $file = corpora('utf8-tests/utf8tests.txt')
        or skip 'no corpora: set UP_CORPORA for the tests of utf8-tests', 1;
    my ($valid, $invalid) = (0, 0);

    for (split /\n/, slurp($file)) {
        my ($number, $kind, $hex, $value) = /^([\d.]+):\s*((?:in)?valid)( hex)?:([^:]*)/ or next;
        my $bytes = $hex ? pack('H*', $value =~ s/\s//gr) : $value;

        if ($kind eq 'valid' && $bytes !~ /[\0-\x1f\x7f]|\xc2[\x80-\x9f]/) {
            my $someone = user_new();
            my $stored = NFC(decode('utf8', $bytes)) =~ s/^\p{White_Space}+|\p{White_Space}+$//gr;

            is_profile(me('PATCH', token => token(sub => $someone->{email}),
                form => [{name => 'full_name', body => $bytes}]),
                {full_name => length $stored ? $stored : undef}, "utf8-tests $number: $kind");
            $valid++;
        }
        else {
            refused([{name => 'full_name', body => $bytes}], $NAME, "utf8-tests $number: $kind");
            $invalid++ if $kind eq 'invalid';
        }
    }
    cmp_ok($valid, '>', 50, 'utf8-tests: so many were valid');
    cmp_ok($invalid, '>', 100, 'utf8-tests: so many were not');
}

# --- Languages ------------------------------------------------------------------------------------

my %good = (
    'en' => 'en', 'EN' => 'en', 'eN' => 'en', 'de-ch' => 'de-CH', 'ES-419' => 'es-419',
    'zh-hant-tw' => 'zh-Hant-TW', 'ZH-HANT-TW' => 'zh-Hant-TW', 'sr-latn-rs' => 'sr-Latn-RS',
    'zh-cmn-hans-cn' => 'zh-cmn-Hans-CN', 'de-CH-1996' => 'de-CH-1996', 'DE-1901' => 'de-1901',
    'SL-ROZAJ-BISKE-1994' => 'sl-rozaj-biske-1994', 'hy-latn-it-AREVELA' => 'hy-Latn-IT-arevela',
    'I-KLINGON' => 'i-klingon', 'EN-gb-OED' => 'en-GB-oed', 'SGN-be-FR' => 'sgn-BE-FR',
    'zh-MIN-NAN' => 'zh-min-nan', 'Art-Lojban' => 'art-lojban', 'i-default' => 'i-default',
    'X-Whatever' => 'x-whatever', 'x-a-1-b' => 'x-a-1-b', 'en-X-Us' => 'en-x-us', 'qaa' => 'qaa',
    'qaa-qaaa-qm-X-southern' => 'qaa-Qaaa-QM-x-southern', 'tlh' => 'tlh', 'und' => 'und',
    'de-de-U-CO-phonebk' => 'de-DE-u-co-phonebk', 'en-latn-gb-BOONT-u-ca-gregory-x-Y' =>
        'en-Latn-GB-boont-u-ca-gregory-x-y', 'iw' => 'iw', 'MN-CYRL-mn' => 'mn-Cyrl-MN',
);
for my $tag (sort keys %good) {
    taken(speaking_language => $tag, $good{$tag}, "language: $tag");
}
taken(listening_language => " \x{3000}pt-br\n", 'pt-BR', 'language: trimmed');

my $longest = 'en-x-abcdefgh-abcdefgh-abcdefgh-abc';
is(length $longest, 35, 'a tag of 35 characters');
taken(listening_language => $longest, $longest, 'language: 35 characters');
taken(listening_language => "  $longest ", $longest, 'language: 35 characters after trimming');

my @bad = (
    'xx', 'english', 'abcdefghi', 'aaaa', 'aaaaa', 'e', '1', '12', 'en_US', 'en.UTF-8', '-', '-en', 'en-',
    'en--us', 'en us', 'en,fr', 'en;q=1', '*', 'C', 'en-us-us', 'en-YY', 'en-00', 'en-000', 'en-1234',
    'en-Zzza', 'en-latn-cyrl', 'us', 'en-abcde', 'de-1996-1996', 'sl-rozaj-ROZAJ', 'en-u',
    'en-u-co-u-nu', 'en-u-co-u-co', 'x', 'x-', 'en-x', 'x-abcdefghi', 'i', 'i-nonsense',
    'I-klingon-x', 'en-GB-oed-x-y', 'zh-min-zzz', 'zh-zzz', 'de-cmn', 'zh-cmn-yue', 'en-DE-Latn',
    "$longest" . 'd', "en-x-a" . '-a' x 200, "en\x{e9}", "\x{435}n", "\x{ff45}\x{ff4e}", "e\x{301}n",
    "en\x{2010}US", "en\x{200b}", "\x{feff}en", 'en/US', '../en', "en' --", 'null', 'undefined', '0',
);
for my $tag (@bad) {
    refused({speaking_language => $tag}, {speaking_language => 'INVALID_LANGUAGE_CODE'},
        'language: ' . $JSON->encode(substr $tag, 0, 50));
}
for my $value ('null', '""', '" \n"', '0', '12', 'true', 'false', '["en"]', '{"en":1}', '"en\u0000"',
    '"\u0000"', '"e\nn"', '"\u007fen"', '"en\u0085US"') {
    for my $field (qw(speaking_language listening_language)) {
        refused(qq({"$field":$value}), {$field => 'INVALID_LANGUAGE_CODE'}, "$field: $value");
    }
}
refused([{name => 'speaking_language', body => $_}], {speaking_language => 'INVALID_LANGUAGE_CODE'},
    'a form: language: ' . $JSON->encode($_)) for '', " \r\n", 'xx', "en\0", "en\nfr", 'en_US', '"en"';

# --- All at once ----------------------------------------------------------------------------------

my $LANGUAGE = 'INVALID_LANGUAGE_CODE';
refused({full_name => 1, speaking_language => 'xx', listening_language => undef},
    {full_name => 'VALIDATION_ERROR', speaking_language => $LANGUAGE, listening_language => $LANGUAGE},
    'three invalid fields');
refused({full_name => 'x' x 256, speaking_language => 'de', listening_language => 'pt'}, $NAME,
    'an invalid name beside good languages: VALIDATION_ERROR');
refused({full_name => 'Ada', speaking_language => 'xx', listening_language => 'pt'},
    {speaking_language => $LANGUAGE}, 'an invalid language beside a good name and a good language');
refused('{"full_name":"a\u0001b","listening_language":"xx"}',
    {full_name => 'VALIDATION_ERROR', listening_language => $LANGUAGE}, 'the name first');
refused('{"listening_language":"xx","full_name":"a\u0001b"}',
    {full_name => 'VALIDATION_ERROR', listening_language => $LANGUAGE}, 'the language first');
refused({full_name => [], id => [], nickname => [], email => 7}, $NAME,
    'beside an invalid name, what is ignored is no error');
refused([{name => 'listening_language', body => 'xx'}, {name => 'nickname', body => "\xff"},
    {name => 'full_name', body => "\xff"}, {name => 'speaking_language', body => 'de'}],
    {full_name => 'VALIDATION_ERROR', listening_language => $LANGUAGE}, 'in a form');
{
    my $response = me('PATCH', token => $token,
        json => {full_name => "\x{7}secret", speaking_language => 'xx-secret'});
    my $error = json($response);

    is(join(' ', sort keys %$error), 'code details message status', 'the members of an error');
    is_deeply([sort { $a cmp $b } map { join ' ', sort keys %$_ } @{$error->{details}}],
        [('code field message') x 2], 'the members of each detail');
    like($_->{message}, qr/\A[A-Z].*\.\z/, "$_->{field}: a sentence says what is right")
        for @{$error->{details}};
    unlike($response->content, qr/secret/, 'it does not send back what was sent');
    is_deeply(user_row($user->{id}), $user, 'nothing is written');
}

is(storage('requests')->{count}, $uploads, 'no refused text has asked anything of the storage');
is(journal(), 0, 'or left anything in the journal');
is(redis('DBSIZE'), 0, 'or in Redis');

done_testing();
