#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
#
# PATCH changes the text fields that are given and nothing else, as JSON, as a merge patch or as a
# form, and answers with the profile as it is then.
use strict;
use warnings;
use utf8;
use Encode qw(encode);
use JSON::PP ();
use Test::More;
use UserProfile::Test;

my $JSON = JSON::PP->new->utf8->canonical->allow_nonref;
my @TEXT = qw(full_name speaking_language listening_language);
my $LONG_AGO = '2020-02-02 02:02:02+00';
wait_for(10, sub { !journal() });
my $uploads = storage('requests')->{count};

sub journal {
    return db()->selectrow_array('SELECT count(*) FROM userprofile_journal');
}

# A user whose last change was long ago, and a token.
sub someone {
    my $user = user_new(full_name => 'Ada Lovelace', speaking_language => 'en',
        listening_language => 'fr', avatar_url => 'https://example.com/ada.png',
        is_verified => 1, created_at => '2026-03-14 12:00:00+00', updated_at => $LONG_AGO, @_);

    return ($user, token(sub => $user->{email}));
}

# Checks that exactly these columns have changed: none, or these and updated_at, which is of now.
sub row_has {
    my ($before, $changes, $name) = @_;
    my $row = user_row($before->{id});
    local $Test::Builder::Level = $Test::Builder::Level + 1;

    return is_deeply($row, $before, $name) unless $changes;
    return is_deeply({%$row, updated_at => is_recent(updated_at => $before->{id}) ? 'now' : $row->{updated_at}},
        {%$before, %$changes, updated_at => 'now'}, $name);
}

# What the answer to a write says is what a client reads afterwards: body and tag.
sub same_as_get {
    my ($response, $token, $name) = @_;
    my $read = me('GET', token => $token);
    local $Test::Builder::Level = $Test::Builder::Level + 1;

    return is($response->header('ETag') . $response->content,
        $read->header('ETag') . $read->content, $name);
}

# --- Every combination of fields ------------------------------------------------------------------

my @combinations = ({});
for my $field (@TEXT) {
    my @values = $field eq 'full_name' ? ('Ada K. Lovelace', undef) : $field =~ /^s/ ? 'de' : 'pt-BR';
    @combinations = map {
        my $so_far = $_;
        ($so_far, map { {%$so_far, $field => $_} } @values)
    } @combinations;
}
is(scalar @combinations, 12, 'twelve ways to give three fields, of which one can be cleared');

for my $patch (@combinations) {
    my ($user, $token) = someone();
    my $name = 'PATCH ' . $JSON->encode($patch);
    my $response = me('PATCH', token => $token, json => $patch);

    is_profile($response, {(map { $_ => $user->{$_} } @TEXT), %$patch, id => $user->{id},
        email => $user->{email}, avatar_url => $user->{avatar_url}}, "$name: the profile after it");
    row_has($user, %$patch ? $patch : undef,
        %$patch ? "$name: these columns and updated_at" : "$name: writes nothing, updated_at neither");
    same_as_get($response, $token, "$name: the answer is the row as a GET shows it");
}

{
    my ($user, $token) = someone();
    my $response = me('PATCH', token => $token,
        json => {full_name => 'Ada "K." Løvelace \\ 😀', speaking_language => 'zh-Hant-TW'});

    is($response->content, encode('UTF-8', qq({"id":$user->{id},"email":"$user->{email}",)
        . '"full_name":"Ada \"K.\" Løvelace \\\\ 😀","avatar_url":"https://example.com/ada.png",'
        . '"speaking_language":"zh-Hant-TW","listening_language":"fr","is_active":true,'
        . '"is_verified":true,"created_at":"2026-03-14T12:00:00Z"}'),
        'the answer, byte for byte: kinds, order, UTF-8 as it is, a time without an empty fraction');
}

# --- null and what is empty -----------------------------------------------------------------------

for my $empty ([null => undef], ['an empty string' => ''], ['blanks' => "  \t\n "],
    ["blanks that aren't ASCII" => "\x{3000}\x{a0}\x{2029}"]) {
    my ($what, $value) = @$empty;
    my ($user, $token) = someone();

    is_profile(me('PATCH', token => $token, json => {full_name => $value}), {full_name => undef},
        "full_name: $what clears it");
    row_has($user, {full_name => undef}, "full_name: $what is stored as NULL");
    is_profile(me('PATCH', token => $token, json => {full_name => $value}), {full_name => undef},
        "full_name: $what, once more");
    is_profile(me('PATCH', token => $token, json => {full_name => 'Ada'}), {full_name => 'Ada'},
        "full_name: $what, and then a name again");
}

{
    my ($user, $token) = someone();
    my $json = {full_name => "\x{2003}\t Ada  Lovelace\n", speaking_language => "\n de-ch ",
        listening_language => 'ZH-hant-tw'};

    is_profile(me('PATCH', token => $token, json => $json), {full_name => 'Ada  Lovelace',
        speaking_language => 'de-CH', listening_language => 'zh-Hant-TW'}, 'values are trimmed');
    row_has($user, {full_name => 'Ada  Lovelace', speaking_language => 'de-CH',
        listening_language => 'zh-Hant-TW'}, 'and stored so');
}

# --- What can't be written is ignored -------------------------------------------------------------

my %foreign = (
    id => 4711, email => 'other@example.com', avatar_url => 'https://evil.example/x.png',
    is_active => JSON::PP::false, is_verified => JSON::PP::false, created_at => '1999-01-01T00:00:00Z',
    updated_at => '1999-01-01T00:00:00Z', deleted_at => '1999-01-01T00:00:00Z',
    hashed_password => 'x', nickname => 'Countess', '' => 1, Full_Name => 'X', 'full_name ' => 'X',
    'full_name = NULL --' => 'X', avatar => 'X', id2 => {full_name => ['X', {full_name => 'X'}]},
);
for my $field (sort keys %foreign) {
    my ($user, $token) = someone();

    is_profile(me('PATCH', token => $token, json => {$field => $foreign{$field}}),
        {full_name => 'Ada Lovelace', email => $user->{email}, is_verified => JSON::PP::true},
        "'$field' alone is ignored");
    row_has($user, undef, "'$field' alone writes nothing, updated_at neither");
}
for my $value (undef, 12, JSON::PP::true, [], {}, "\x{0}", 'x' x 2000) {
    my ($user, $token) = someone();
    my $all = {map { $_ => $value } keys %foreign};
    my $name = 'all that is read-only or unknown as ' . substr $JSON->encode($value), 0, 20;

    is_profile(me('PATCH', token => $token, json => {%$all, full_name => 'A. L.'}),
        {full_name => 'A. L.', avatar_url => $user->{avatar_url}}, "$name: the rest is done");
    row_has($user, {full_name => 'A. L.'}, "$name: never written");
}

# --- The same once more ---------------------------------------------------------------------------

{
    my ($user, $token) = someone();
    my $same = {map { $_ => $user->{$_} } @TEXT};
    my $before = me('GET', token => $token);
    my $response = me('PATCH', token => $token, json => $same);

    is_profile($response, $same, 'the values that it has already');
    is($response->content, $before->content, 'leave the profile as it was');
    is($response->header('ETag'), $before->header('ETag'), 'and its tag');
    row_has($user, {}, 'but it is an update: updated_at is set');
}
{
    my ($ada, $token) = someone();
    my ($grace) = someone();
    my ($nobody) = someone(email => "x$ada->{email}");

    me('PATCH', token => $token, json => {full_name => 'A', speaking_language => 'ar'});
    row_has($grace, undef, "nobody else's row is written");
    row_has($nobody, undef, 'not even one with nearly the same email');
}

# --- Media types ----------------------------------------------------------------------------------

for my $type (
    'application/json', 'application/merge-patch+json', 'application/json; charset=utf-8',
    'application/json;charset="UTF-8"', 'Application/JSON', 'APPLICATION/Merge-Patch+JSON',
    'application/merge-patch+json ; Charset=UTF-8', "application/json\t;\tq=\"a;b\\\"c\"",
    'application/json;; charset=utf-8;',
    ) {
    my ($user, $token) = someone();
    my $response = me('PATCH', token => $token, type => $type,
        body => '{"full_name":null,"speaking_language":"de"}');

    is_profile($response, {full_name => undef, speaking_language => 'de', listening_language => 'fr'},
        "$type: the profile after it");
    row_has($user, {full_name => undef, speaking_language => 'de'}, "$type: stored");
}
{
    my ($user, $token) = someone();

    is_profile(me('PATCH', token => $token, type => 'application/json',
        headers => {'Content-Encoding' => 'identity'}, body => ' { "full_name" : "\u0041da" }' . "\r\n"),
        {full_name => 'Ada'}, 'Content-Encoding: identity; blanks and escapes in the JSON');
}

# --- Forms ----------------------------------------------------------------------------------------

sub form {
    my ($token, @parts) = @_;

    return me('PATCH', token => $token,
        form => [map { ref $_ eq 'ARRAY' ? {name => $_->[0], body => $_->[1]} : $_ } @parts]);
}

for my $patch (@combinations) {
    my ($user, $token) = someone();
    my $name = 'a form of ' . $JSON->encode($patch);
    my $response = form($token, map { [$_ => $patch->{$_} // ''] } sort keys %$patch);

    is_profile($response, {(map { $_ => $user->{$_} } @TEXT), %$patch, id => $user->{id},
        avatar_url => $user->{avatar_url}}, "$name: the whole profile after it");
    row_has($user, %$patch ? $patch : undef,
        %$patch ? "$name: these columns and updated_at" : "$name: writes nothing, updated_at neither");
    same_as_get($response, $token, "$name: the answer is the row as a GET shows it");
}

for my $blank ('', ' ', "\r\n", "\xe3\x80\x80\xc2\xa0") {
    my ($user, $token) = someone();
    my $name = 'a text part of ' . (join ' ', map { sprintf '%02x', ord } split //, $blank);

    is_profile(form($token, [full_name => $blank]), {full_name => undef}, "${name}: is null");
    row_has($user, {full_name => undef}, "${name}: is stored as NULL");
}

{
    my ($user, $token) = someone();
    my $grave = encode('UTF-8', " Ada\x{300} 😀\r\n");

    is_profile(form($token, [full_name => $grave], [listening_language => "PT-br\r\n"]),
        {full_name => "Ad\x{e0} 😀", listening_language => 'pt-BR'},
        'a form: UTF-8, trimmed, normalised');
    row_has($user, {full_name => "Ad\x{e0} 😀", listening_language => 'pt-BR'}, 'and stored so');
}
for my $field (sort grep { length } keys %foreign) {
    my ($user, $token) = someone();

    is_profile(form($token, [$field => 'X'], [speaking_language => 'de']),
        {full_name => 'Ada Lovelace', speaking_language => 'de', email => $user->{email}},
        "a form: a part named '$field' is read and ignored") unless $field eq 'avatar';
    row_has($user, {speaking_language => 'de'}, "a form: a part named '$field' is not written")
        unless $field eq 'avatar';
}
{
    my ($user, $token) = someone();

    is_profile(form($token, ['_charset_' => 'UTF-8'], [x => 1], [x => 2], [x => "\xff\0"],
        {name => 'file', filename => 'a.bin', type => 'application/octet-stream', body => "\0" x 999},
        [full_name => 'Ada']), {full_name => 'Ada'}, 'a form: parts of any kind that nobody knows');
    row_has($user, {full_name => 'Ada'}, 'a form: they leave nothing behind');
}
{
    my ($user, $token) = someone();

    is_profile(form($token, [full_name => 'Ada'],
        {name => 'avatar', filename => '', type => 'application/octet-stream', body => ''}),
        {full_name => 'Ada', avatar_url => $user->{avatar_url}},
        "a form with a file field that was left empty, as browsers send it: the picture stays");
    row_has($user, {full_name => 'Ada'}, 'and the text is written');
}
for my $how (
    ['Multipart/FORM-Data; boundary="a b"', 'a b', 'odd case, a boundary in quotes'],
    ['multipart/form-data; charset=utf-8; boundary=x', 'x', 'a charset before the boundary'],
    ['multipart/form-data ; Boundary=x; charset="utf-8"', 'x', 'a charset after the boundary'],
    ['multipart/form-data; boundary=' . 'b' x 70, 'b' x 70, 'a boundary of 70 characters'],
    [q(multipart/form-data; boundary="'()+_,-./:=? x"), "'()+_,-./:=? x", 'a boundary of all sorts'],
    ) {
    my ($type, $boundary, $name) = @$how;
    my ($user, $token) = someone();

    is_profile(me('PATCH', token => $token, type => $type, body => "preamble\r\n--$boundary\r\n"
        . "content-disposition:form-data;NAME=full_name\r\n\r\nAda\r\n--$boundary--\r\nepilogue"),
        {full_name => 'Ada'}, "a form: $name");
    row_has($user, {full_name => 'Ada'}, "a form: $name: stored");
}

# --- One connection -------------------------------------------------------------------------------

{
    my ($user, $token) = someone();
    my $requests = join '', map {
        my $body = qq({"full_name":"Ada $_"});
        "PATCH $ME HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer $token\r\n"
            . "Content-Type: application/json\r\nContent-Length: " . length($body) . "\r\n"
            . ($_ == 5 ? "Connection: close\r\n" : '') . "\r\n$body";
    } 1 .. 5;
    my $answers = raw($requests);

    is_deeply([$answers =~ /"full_name":"(.*?)"/g], [map { "Ada $_" } 1 .. 5],
        'five updates on one connection, one sent after the other without waiting');
    row_has($user, {full_name => 'Ada 5'}, 'the last one is what stays');
}

is(storage('requests')->{count}, $uploads, 'no text has asked anything of the storage');
is(journal(), 0, 'or left anything in the journal');

done_testing();
