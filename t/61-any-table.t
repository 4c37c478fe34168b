#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
#
# Any users table, by configuration alone: Django's, WordPress', Keycloak's and one with a column of
# each type, each as t/tables/NAME.sql makes it and t/tables/NAME.conf describes it.
use strict;
use warnings;
use utf8;
use HTTP::Response ();
use IO::Socket::INET ();
use JSON::PP ();
use Test::More;
use Time::HiRes qw(time);
use UserProfile::Test;

binmode Test::More->builder->$_, ':encoding(UTF-8)' for qw(output failure_output todo_output);

my $JSON = JSON::PP->new->utf8->canonical;
my $servers = servers();
my $keys = $servers->{keys};
my $top = scratch() . '/top';
my %port;
my $conf = "UserProfileConnections 2\n";

for my $name (qw(django wordpress keycloak types)) {
    my $key = $name eq 'keycloak' ? "RS256 \"$keys/rsa.pub.pem\"" : "HS256 \"$keys/hs256.key\"";
    $servers->add_database("${name}_$$", "t/tables/$name.sql");
    $port{$name} = free_port();
    $conf .= <<"CONF";
Listen 127.0.0.1:$port{$name}
<VirtualHost 127.0.0.1:$port{$name}>
    ServerName $name.example.com
    DBDriver pgsql
    DBDParams "@{[$servers->dsn("${name}_$$")]}"
    UserProfileTokenKey $key
    UserProfileTokenStore "redis+unix://$servers->{redis_socket}"
    Include "$top/t/tables/$name.conf"
</VirtualHost>
CONF
}
my $node = node(conf => $conf)->start;
log_unlike(0, qr/at the start/, 'the databases have all that is named', $node->{error_log});

# A table in one of the databases: rows are made, read and counted.
sub add { my ($name, @row) = @_; return insert("${name}_$$", @row) }

sub sql {
    my ($name, $sql, @values) = @_;

    return db("${name}_$$")->selectrow_array($sql, undef, @values);
}

sub at {
    my ($name, $method, %option) = @_;

    return request($method, $option{path} // '/me', port => $port{$name}, %option);
}

# One check that a request is refused, and that the row is in every bit what it was.
sub refused {
    my ($what, $name, $table, $request, $status, $code, %option) = @_;
    my $rows = "SELECT string_agg(t::text || xmin::text, ';' ORDER BY t::text) FROM $table t";
    my $before = sql($name, $rows);

    is_error(at($name, @$request), $status, $code, $what, %option);
    is(sql($name, $rows), $before, '... and nothing is written');
    return;
}

# --- Django ---------------------------------------------------------------------------------------

my %django = (password => 'pbkdf2_sha256$x', is_superuser => 0, is_staff => 0, is_active => 1,
    last_name => 'Lovelace', first_name => 'Ada', email => 'ada@example.com',
    date_joined => '2026-03-14 12:00:00.5+05:45');

sub django_new {
    return add(django => auth_user => %django, username => 'u' . substr(rand, 2), @_);
}

sub django_token {
    my ($user, @claims) = @_;

    return token(sub => "$user->{id}", type => undef, token_type => 'access', iat => int time, @claims);
}

my @django = qw(id username first_name last_name email date_joined is_active);
my $ada = django_new();
my $token = django_token($ada);
my $res = at(django => 'GET', token => $token);
is_profile($res, {id => $ada->{id}, username => $ada->{username}, first_name => 'Ada', email => 'ada@example.com',
    date_joined => '2026-03-14T06:15:00.5Z', is_active => JSON::PP::true()},
    'Django: the profile', fields => \@django);
like($res->content, qr/"id":$ada->{id},/, 'Django: an integer is a JSON number');
unlike($res->content, qr/pbkdf2/, 'Django: the password stays where it is');
is_profile(at(django => 'PATCH', token => $token, json => {first_name => 'Augusta', email => 'augusta@example.com'}),
    {first_name => 'Augusta', last_name => 'Lovelace', email => 'augusta@example.com'}, 'Django: PATCH',
    fields => \@django);
is(sql(django => 'SELECT first_name FROM auth_user WHERE id = ?', $ada->{id}), 'Augusta', '... is written');
is_profile(at(django => 'PATCH', token => $token, form => [{name => 'last_name', body => 'King'}]),
    {last_name => 'King'}, 'Django: PATCH by a form', fields => \@django);
for my $subject ('ada@example.com', '', '1.0', "$ada->{id} ", '9223372036854775808', "$ada->{id}; --") {
    is_error(at(django => 'GET', token => django_token({id => $subject})), 401, 'INVALID_CREDENTIALS',
        "Django: a subject that is no integer: '$subject'");
}
is_error(at(django => 'GET', token => django_token({id => '999999'})), 401, 'INVALID_CREDENTIALS',
    'Django: nobody');
is_error(at(django => 'GET', token => django_token({id => '9223372036854775807'})), 401,
    'INVALID_CREDENTIALS', 'Django: a subject that is beyond the column');
is_error(at(django => 'GET', token => django_token($ada, token_type => 'refresh')), 401,
    'INVALID_CREDENTIALS', 'Django: a refresh token');
is_error(at(django => 'GET', token => django_token($ada, iat => 1_000_000_000)), 401,
    'INVALID_CREDENTIALS', 'Django: a token from before the account');
is_error(at(django => 'GET', token => django_token($ada, iat => undef)), 401, 'INVALID_CREDENTIALS',
    'Django: a token that does not say since when it is');
is_error(at(django => 'GET', token => django_token(django_new(is_active => 0))), 403,
    'ACCOUNT_DEACTIVATED', 'Django: a deactivated account');

# What is unknown or read only is an error here, in a form as in JSON, and all of it at once.
my @refused = (
    ['an unknown field', {nickname => 'x'}, ['nickname']],
    ['one that is read only', {username => 'x'}, ['username']],
    ['an internal one', {password => 'x', is_superuser => 1}, ['is_superuser', 'password']],
    ['both beside a good one', {first_name => 'x', id => 1, nickname => ''}, ['id', 'nickname']],
    ['beside an invalid one', {first_name => '', nickname => ''}, ['first_name', 'nickname']],
    ['the picture of another contract', {avatar => 'x'}, ['avatar']],
    ['a name in another case', {First_name => 'x'}, ['First_name']],
    ['a long name', {'x' x 100 => 1}, ['x' x 64]],
);
for my $case (@refused) {
    my ($what, $json, $fields) = @$case;
    my %fields = map { $_ => 'VALIDATION_ERROR' } @$fields;
    refused("Django, JSON: $what", django => 'auth_user', ['PATCH', token => $token, json => $json], 400,
        'VALIDATION_ERROR', fields => \%fields);
    refused("Django, a form: $what", django => 'auth_user', ['PATCH', token => $token,
        form => [map { {name => $_, body => $json->{$_}} } sort keys %$json]], 400, 'VALIDATION_ERROR',
        fields => \%fields);
}
refused('Django, a form: a picture', django => 'auth_user', ['PATCH', token => $token, form => [
    {name => 'first_name', body => 'x'}, {name => 'avatar', filename => 'a.png', body => png()}]],
    400, 'VALIDATION_ERROR', fields => {avatar => 'VALIDATION_ERROR'});
refused('Django, a form: a name that is not UTF-8', django => 'auth_user', ['PATCH', token => $token,
    form => [{name => "x\xff", body => 'x'}]], 400, 'VALIDATION_ERROR');
refused('Django, a form: an unknown field of more than 64 KiB', django => 'auth_user', ['PATCH',
    token => $token, form => [{name => 'nickname', body => 'x' x 65_536}]], 400, 'MALFORMED_MULTIPART');
refused('Django, a form: an unknown field after one that is malformed', django => 'auth_user',
    ['PATCH', token => $token, form => [{name => 'first_name', body => 'a'}, {name => 'first_name',
    body => 'b'}, {name => 'nickname'}]], 400, 'MALFORMED_MULTIPART');

# No column says that an account is deleted.
my $bob = django_new(username => 'bob');
my $stays = add(django => forum_post => author_id => $ada->{id}, author_name => 'ada', body => 'x');
my $post = add(django => forum_post => author_id => $bob->{id}, author_name => 'bob', body => 'Hello');
add(django => auth_user_groups => user_id => $bob->{id}, group_id => $_) for 1, 2;
for my $path ('/me', '/me?hard=false', '/me?hard=0') {
    refused("Django: DELETE $path can only be for good", django => 'auth_user', ['DELETE', path => $path,
        token => django_token($bob)], 400, 'VALIDATION_ERROR', fields => {hard => 'VALIDATION_ERROR'});
}
is(at(django => 'DELETE', path => '/me?hard=true', token => django_token($bob))->code, 200,
    'Django: DELETE ?hard=true erases');
is(sql(django => 'SELECT count(*) FROM auth_user WHERE id = ?', $bob->{id}), 0, '... the user');
is(sql(django => 'SELECT count(*) FROM auth_user_groups'), 0, '... what refers to the user');
is(sql(django => "SELECT coalesce(author_id::text, '-') || author_name || body FROM forum_post WHERE id = ?",
    $post->{id}), '-a former userHello', '... and anonymises what is to stay');
is(sql(django => 'SELECT author_name FROM forum_post WHERE id = ?', $stays->{id}), 'ada', "... not another's");
is_error(at(django => 'GET', token => django_token($bob)), 401, 'INVALID_CREDENTIALS', '... who is nobody then');

# --- WordPress ------------------------------------------------------------------------------------

my @wordpress = ('id', 'login', 'email', 'name', 'url', 'registered', 'site name', 'api_version', 'beta');
my $carol = add(wordpress => wp_users => user_login => "o'carol", user_email => 'carol@example.com',
    display_name => 'Carol', user_registered => '2026-03-14 12:00:00', user_pass => '$P$secret');
$token = token(sub => "o'carol", jti => undef, type => undef);

my $data = join ',', qq("id":$carol->{ID}), qq("login":"o'carol"), qq("email":"carol\@example.com"),
    qq("name":"Carol"), qq("url":""), qq("registered":"2026-03-14T12:00:00Z"), qq("site name":"Ada's \\"Blog\\""),
    qq("api_version":2), qq("beta":false);
$res = at(wordpress => 'GET', token => $token);
is($res->content, qq({"status_code":200,"status":"success","message":"User profile","data":{$data}}),
    'WordPress: the profile, its constants and a time without a zone, in the envelope');
my $tag = $res->header('ETag');
is(at(wordpress => 'GET', token => $token, headers => {'If-None-Match' => $tag})->content, '',
    'WordPress: nothing around 304');
is(at(wordpress => 'HEAD', token => $token)->header('Content-Length'), length $res->content,
    'WordPress: HEAD has the length of the envelope');
$res = at(wordpress => 'PUT', token => $token, json => {url => 'https://carol.example/', name => 'Carol C.',
    api_version => 3, 'site name' => 'x', user_pass => 'x', display_name => 'x'});
is($res->code . json($res)->{data}{url} . json($res)->{status}, '200https://carol.example/success',
    'WordPress: PUT is answered in the envelope');
is(join('|', sql(wordpress => 'SELECT user_url, display_name, user_pass FROM wp_users WHERE "ID" = ?', $carol->{ID})),
    'https://carol.example/|Carol C.|$P$secret', '... and writes what it may');
is_error(at(wordpress => 'PUT', token => $token, headers => {'If-Match' => $tag}, json => {name => 'x'}), 412,
    'PRECONDITION_FAILED', 'WordPress: no envelope around an error');
$tag = $res->header('ETag');
is(at(wordpress => 'PUT', token => $token, headers => {'If-Match' => $tag}, json => {name => 'C'})->code, 200,
    'WordPress: If-Match');
for my $url ('carol.example', 'javascript:alert(1)', 'https://', 'https://a b', '', undef,
    'https://example.com/' . 'x' x 81) {
    refused('WordPress: no URL: ' . ($url // 'null'), wordpress => 'wp_users', ['PUT', token => $token,
        json => {url => $url}], 400, 'VALIDATION_ERROR', fields => {url => 'VALIDATION_ERROR'});
}
my $spammer = add(wordpress => wp_users => user_login => 'spammer', user_status => 1, display_name => 'S');
refused("WordPress: who has another status is nobody: $_->[0]", wordpress => 'wp_users',
    [@$_, token => token(sub => 'spammer', jti => undef, type => undef)], 401, 'INVALID_CREDENTIALS')
    for ['GET'], ['PUT', json => {name => 'x'}], ['PUT', json => {}], ['DELETE', path => '/me?hard=true'];
add(wordpress => wp_usermeta => user_id => $_->{ID}, meta_key => 'a') for $carol, $spammer;
is(at(wordpress => 'DELETE', path => '/me?hard=true', token => $token)->code, 200, 'WordPress: DELETE');
is(sql(wordpress => q(SELECT string_agg(user_login, ',') FROM wp_users)), 'spammer', '... erases the user');
is(sql(wordpress => 'SELECT string_agg(user_id::text, \',\') FROM wp_usermeta'), $spammer->{ID},
    "... and the user's rows, and no others");

# --- Keycloak -------------------------------------------------------------------------------------

my @keycloak = qw(sub username given_name family_name email email_verified created);
my $uuid = 'a1b2c3d4-0000-4000-8000-';

sub keycloak_new {
    my ($number, @row) = @_;

    return add(keycloak => 'keycloak.user_entity', id => $uuid . sprintf('%012d', $number), realm_id => 'shop',
        username => "user$number", enabled => 1, created_timestamp => 1_773_489_600_000, @row);
}

sub keycloak_token {
    my ($user, @claims) = @_;

    return token(sub => $user->{id}, type => undef, typ => 'Bearer', aud => ['account', 'other'],
        iss => 'https://id.example.com/realms/shop', -alg => 'RS256', -kid => 'any', @claims);
}

my $dave = keycloak_new(1, first_name => 'Dave', email => 'dave@example.com');
my $stranger = keycloak_new(2, first_name => 'Eve', realm_id => 'bank');
$token = keycloak_token($dave);
is_profile(at(keycloak => 'GET', token => $token), {sub => $dave->{id}, given_name => 'Dave',
    family_name => undef, email_verified => JSON::PP::false(), created => '2026-03-14T12:00:00Z'},
    'Keycloak: the profile', fields => \@keycloak);
sql(keycloak => 'UPDATE keycloak.user_entity SET created_timestamp = ? WHERE id = ? RETURNING 1', $_->[0],
    $dave->{id}), is_profile(at(keycloak => 'GET', token => $token), {created => $_->[1]},
    'Keycloak: milliseconds ' . ($_->[0] // 'NULL'), fields => \@keycloak)
    for [1_773_489_600_120, '2026-03-14T12:00:00.12Z'], [0, '1970-01-01T00:00:00Z'],
    [-1, '1969-12-31T23:59:59.999Z'], [253_402_300_799_999, '9999-12-31T23:59:59.999Z'], [undef, undef];
is_profile(at(keycloak => 'PATCH', token => $token, json => {given_name => undef, family_name => ' D. ',
    created => 0, enabled => JSON::PP::false(), realm_id => 'bank'}), {given_name => undef, family_name => 'D.'},
    'Keycloak: PATCH', fields => \@keycloak);
is(join('|', sql(keycloak => 'SELECT last_name, enabled, realm_id FROM keycloak.user_entity WHERE id = ?', $dave->{id})),
    'D.|1|shop', '... writes what it may');
for my $case (['GET'], ['PATCH', json => {given_name => 'x'}], ['PATCH', json => {}],
    ['DELETE', path => '/me?hard=true']) {
    refused("Keycloak: a user of another realm is nobody: $case->[0]", keycloak => 'keycloak.user_entity',
        [@$case, token => keycloak_token($stranger)], 401, 'INVALID_CREDENTIALS');
}
for my $case (['another issuer', iss => 'https://id.example.com/realms/bank'], ['another audience', aud => 'bank'],
    ['no audience', aud => undef], ['an ID token', typ => 'ID'],
    ['a secret in the place of the key', -alg => 'HS256', -key => slurp("$keys/rsa.pub.pem")]) {
    my ($what, @claims) = @$case;
    is_error(at(keycloak => 'GET', token => keycloak_token($dave, @claims)), 401, 'INVALID_CREDENTIALS',
        "Keycloak: $what");
}
is_error(at(keycloak => 'GET', token => keycloak_token(keycloak_new(3, enabled => 0))), 403,
    'ACCOUNT_DEACTIVATED', 'Keycloak: a user who is not enabled');
add(keycloak => 'keycloak.user_attribute', id => $_->{id}, name => 'a', user_id => $_->{id}) for $dave, $stranger;
is(at(keycloak => 'DELETE', path => '/me?hard=1', token => $token)->code, 200, 'Keycloak: DELETE');
is(sql(keycloak => q(SELECT string_agg(username, ',' ORDER BY username) FROM keycloak.user_entity)),
    'user2,user3', '... erases the user');
is(sql(keycloak => 'SELECT user_id FROM keycloak.user_attribute'), $stranger->{id}, '... and what refers to the user');
ok(wait_for(5, sub { !sql(keycloak => 'SELECT count(*) FROM keycloak.userprofile_journal') }),
    '... and the journal, in its schema, is empty');

# --- Every type -----------------------------------------------------------------------------------

my @types = qw(id handle age big flag made naive day seen ref site mail tongue prefs doc face);

sub person_new {
    return add(types => 'app.people', handle => substr(rand, 2, 10), @_);
}

sub person_token {
    return token(sub => $_[0]{id}, jti => undef, type => undef);
}

my $all = person_new(age => 36, big => '9223372036854775807', made => '2026-03-14 12:00:00+01',
    naive => '2026-03-14 12:00:00.250', day => '2026-03-14', seen => 1, ref => '550E8400-E29B-41D4-A716-446655440000',
    site => 'https://x', mail => 'a@b', tongue => 'de',
    prefs => '{"n": 12345678901234567890, "x": 1.10, "e": 1e-400, "s": "a b\u00e9\"\\\\"}', doc => "{ \"a\" :\n [1, 2] }");
$res = at(types => 'GET', token => person_token($all));
is($res->content, '{' . join(',', qq("id":"$all->{id}"), qq("handle":"$all->{handle}"), '"age":36',
    '"big":9223372036854775807', '"flag":false', '"made":"2026-03-14T11:00:00Z"', '"naive":"2026-03-14T12:00:00.25Z"',
    '"day":"2026-03-14T00:00:00Z"', '"seen":"1970-01-01T00:00:00.001Z"', '"ref":"550e8400-e29b-41d4-a716-446655440000"',
    '"site":"https://x"', '"mail":"a@b"', '"tongue":"de"',
    '"prefs":' . sql(types => 'SELECT prefs::text FROM app.people WHERE id = ?', $all->{id}) =~ s/([:,]) /$1/gr =~ s/é/\xc3\xa9/r,
    '"doc":{"a":[1,2]}', '"face":null') . '}', 'each type as JSON');
like($res->content, qr/"n":12345678901234567890,/, '... a number in an object, of any size, as it is');
my $empty = person_new();
is_profile(at(types => 'GET', token => person_token($empty)), {map { $_ => undef } grep { !/^(?:id|handle|flag)$/ } @types},
    '... and NULL as null', fields => \@types);

# field => [value in JSON => as the database has it, or undef for one that is refused; then as text
# in a form], with JSON as text so that a number stays one.
my $U = '550e8400-e29b-41d4-a716-446655440000';
my %GOOD = (
    handle => [['"x"' => 'x'], ['" a\u0301 "' => 'á']],
    age => [['0' => 0], ['2147483647' => 2147483647], ['null' => undef]],
    big => [['-9223372036854775808' => '-9223372036854775808'], ['9223372036854775807' => '9223372036854775807']],
    flag => [['true' => 1], ['false' => 0]],
    ref => [["\"$U\"" => $U], ['"' . uc($U) . '"' => $U], ['null' => undef], ['" "' => undef]],
    site => [['"https://example.com/?a=b#c"' => 'https://example.com/?a=b#c'], ['null' => undef]],
    mail => [['"o\'brien+x@example.co.uk"' => 'o\'brien+x@example.co.uk'], ['""' => undef]],
    tongue => [['"ZH-hant-tw"' => 'zh-Hant-TW'], ['null' => undef]],
    prefs => [['{}' => '{}'], ['{"x":0.1}' => '{"x": 0.1}'], ['{"x":[1,{"y":null}],"z":"\u00e9\n"}' =>
        '{"x": [1, {"y": null}], "z": "é\n"}'], ['{"x":1e3,"y":0.30000000000000004}' =>
        '{"x": 1000.0, "y": 0.30000000000000004}'], ['null' => undef]],
    doc => [['{"b": 1, "a": 2.50}' => '{"b":1,"a":2.5}'], ['{"x":"' . 'y' x 92 . '"}' => '{"x":"' . 'y' x 92 . '"}']],
);
for my $field (sort keys %GOOD) {
    for my $case (@{$GOOD{$field}}) {
        my ($value, $stored) = @$case;
        my $person = person_new();
        my $res = at(types => 'PATCH', token => person_token($person), type => 'application/json',
            body => qq({"$field": $value}));
        is($res->code, 200, "$field takes $value") or diag($res->as_string);
        is(sql(types => "SELECT $field FROM app.people WHERE id = ?", $person->{id}), $stored, '... and has it');
        # In a form there is text only: null is the empty one.
        next if $value =~ /\\/;
        my $text = $value eq 'null' ? '' : $value =~ s/^"|"$//gr;
        sql(types => 'DELETE FROM app.people WHERE id = ? RETURNING 1', $person->{id});
        $person = person_new();
        $res = at(types => 'PATCH', token => person_token($person), form => [{name => $field, body => $text}]);
        is($res->code, 200, "$field takes it in a form, too") or diag($res->as_string);
        is(sql(types => "SELECT $field FROM app.people WHERE id = ?", $person->{id}), $stored, '... and has it');
    }
}

my $taken = person_new(handle => 'taken');
my $person = person_new(age => 1, prefs => '{}');
$token = person_token($person);
my %BAD = (
    handle => ['null', '""', '1', 'true', '{}', '"a\u0007b"', '"' . 'x' x 61 . '"'],
    age => ['1.0', '1.5', '"1"', '""', 'true', '[]', '{}', '1e3'],
    big => ['1.0', '"9223372036854775808"'],
    flag => ['1', '0', '"true"', 'null', '""', '"yes"'],
    ref => ['"550e8400"', '1', '"550e8400e29b41d4a716446655440000"', '{}'],
    site => ['"x"', '"//example.com"', '"https://example.com/' . 'x' x 21 . '"', '1', '"https://a:b@c/"'],
    mail => ['"x"', '"a@b@c"', '"Ada <a@b>"', '"a@b c"', '[]'],
    prefs => ['[]', '"{}"', '1', 'true', '{"a":"\u0000"}', '{"x":"' . 'y' x 93 . '"}'],
    doc => ['[{}]', '{"a":"\u0000"}'],
    # Only the client's view of a time is there.
    made => ['"2026-03-14T12:00:00Z"'], seen => ['1'], id => ["\"$U\""],
);
for my $field (sort keys %BAD) {
    for my $value (@{$BAD{$field}}) {
        refused("$field does not take $value", types => 'app.people', ['PATCH', token => $token, type => 'application/json',
            body => qq({"$field": $value, "age": 2}) =~ s/, "age": 2(?=\}$)/$field eq 'age' ? '' : $&/er],
            400, 'VALIDATION_ERROR', fields => {$field => 'VALIDATION_ERROR'});
    }
}
my %BAD_TEXT = (
    age => ['one', '1.0', '+1', '0x1', '9223372036854775808'], flag => ['yes', 'TRUE', '1', ''],
    ref => ['x'], prefs => ['{', '[]', '{"a":1,"a":2}', '1', '{} {}', '{"a":' . '[' x 32 . ']' x 32 . '}'],
);
for my $field (sort keys %BAD_TEXT) {
    for my $text (@{$BAD_TEXT{$field}}) {
        refused("$field does not take '$text' in a form", types => 'app.people', ['PATCH', token => $token,
            form => [{name => $field, body => $text}]], 400, 'VALIDATION_ERROR', fields => {$field => 'VALIDATION_ERROR'});
    }
}
refused("tongue does not take $_", types => 'app.people', ['PATCH', token => $token, type => 'application/json',
    body => qq({"tongue": $_})], 400, 'INVALID_LANGUAGE_CODE', fields => {tongue => 'INVALID_LANGUAGE_CODE'})
    for '"xx"', '"en_US"', '1', '{}';
# A number that no 64 bits hold cannot be read at all.
refused("a body with $_", types => 'app.people', ['PATCH', token => $token, type => 'application/json',
    body => qq({"prefs": {"x": $_}})], 400, 'MALFORMED_JSON') for '9223372036854775808', '1e999';

# What only the database can know of: that a value is taken, or beyond what the column holds.
my @REFUSED_BY_DATABASE = (['a value that another row has', {handle => 'taken'}],
    ['a value that is too long for the column', {handle => 'x' x 11}],
    ['a number that is too large for the column', {age => 2_147_483_648}],
    ['a value that a CHECK refuses', {age => -1}]);
for my $case (@REFUSED_BY_DATABASE) {
    my ($what, $json) = @$case;
    my $mark = log_mark($node->{error_log});
    my $res = at(types => 'PATCH', token => $token, json => $json);
    refused($what, types => 'app.people', ['PATCH', token => $token, json => $json], 400, 'VALIDATION_ERROR');
    unlike($res->content, qr/people|constraint|varchar|SQL/i, '... of which the client is told no SQL');
    log_like($mark, qr/SQLSTATE 2[23]/, '... but the log is', $node->{error_log});
}

# --- A version as the entity tag ------------------------------------------------------------------

my %tag = map { $_ => at(types => 'GET', token => person_token({id => $_}))->header('ETag') } $person->{id},
    $taken->{id};
isnt($tag{$person->{id}}, $tag{$taken->{id}}, 'two users whose versions are equal have different tags');
is(at(types => 'GET', token => person_token($taken), headers => {'If-None-Match' => $tag{$person->{id}}})->code, 200,
    "... so that one's does not stand for the other's profile");
is(at(types => 'GET', token => $token, headers => {'If-None-Match' => $tag{$person->{id}}})->code, 304,
    'the tag is known again');
my @tags = $tag{$person->{id}};
for my $age (2, 2, 3) {
    my $res = at(types => 'PATCH', token => $token, headers => {'If-Match' => $tags[-1]}, json => {age => $age});
    is($res->code, 200, "If-Match with the version's tag: age $age");
    push @tags, $res->header('ETag');
    is(at(types => 'GET', token => $token)->header('ETag'), $tags[-1], '... and its answer has the next');
}
is(scalar keys %{{map { $_ => 1 } @tags}}, 4, 'each write has a tag of its own');
is(sql(types => 'SELECT version FROM app.people WHERE id = ?', $person->{id}), 3, '... counted from NULL on');
refused('a tag of before', types => 'app.people', ['PATCH', token => $token, headers => {'If-Match' => $_},
    json => {age => 9}], 412, 'PRECONDITION_FAILED') for @tags[0, 2], '"3"', "W/$tags[-1]", '*x';
is(at(types => 'PATCH', token => $token, headers => {'If-Match' => qq("0", $tags[-1])}, json => {})->header('ETag'),
    $tags[-1], 'what writes nothing counts nothing');
sql(types => 'UPDATE app.people SET age = 50, version = version + 1 WHERE id = ? RETURNING 1', $person->{id});
refused('a tag of before another program wrote', types => 'app.people', ['PATCH', token => $token,
    headers => {'If-Match' => $tags[-1]}, json => {age => 9}], 412, 'PRECONDITION_FAILED');

# A picture is a write, and the journal, in its schema, sees to it.
my $before = at(types => 'GET', token => $token)->header('ETag');
$res = at(types => 'PUT', path => '/me/avatar', token => $token, type => 'image/png', body => png(),
    headers => {'If-Match' => $before});
is_profile($res, {age => 50}, 'a picture, on a tag that matches', fields => \@types);
like(json($res)->{face}, qr{^https?://\S+\.png$}, '... has its URL in the profile');
isnt($res->header('ETag'), $before, '... and counts');
is_error(at(types => 'PUT', path => '/me/avatar', token => $token, type => 'image/png', body => png(),
    headers => {'If-Match' => $before}), 412, 'PRECONDITION_FAILED', '... so that the tag is stale');
is_profile(at(types => 'PATCH', token => $token, headers => {'If-Match' => $res->header('ETag')},
    form => [{name => 'age', body => '51'}, {name => 'avatar', filename => 'a.jpg', body => jpeg()}]),
    {age => 51}, 'a picture with a text', fields => \@types);
is_profile(at(types => 'DELETE', path => '/me/avatar', token => $token), {face => undef, age => 51},
    '... and it is gone again', fields => \@types);
ok(wait_for(5, sub { !sql(types => 'SELECT count(*) FROM app.userprofile_journal') }),
    '... with nothing left to be done');
refused('two fields at fault, the picture beside them', types => 'app.people', ['PATCH', token => $token,
    form => [{name => 'age', body => 'x'}, {name => 'nickname', body => 'x'},
    {name => 'avatar', filename => 'a.png', body => 'no picture'}]], 400, 'VALIDATION_ERROR',
    fields => {age => 'VALIDATION_ERROR', nickname => 'VALIDATION_ERROR', avatar => 'INVALID_FILE_TYPE'});

my @wrong;
for my $round (1 .. 10) {
    my $tag = at(types => 'GET', token => $token)->header('ETag');
    my @sockets = map {
        my $body = qq({"age":$_});
        my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $port{types}) or die $!;
        print {$socket} "PATCH /me HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer $token\r\n",
            "If-Match: $tag\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: ",
            length($body), "\r\n\r\n", substr $body, 0, -1;
        $socket->flush;
        $socket;
    } 10 .. 17;
    syswrite $_, '}' for @sockets;
    my @codes = sort map { local $/; (readline $_) =~ /^HTTP\S+ (\d+)/ ? $1 : 0 } @sockets;
    push @wrong, "round $round: @codes" unless "@codes" eq '200' . ' 412' x 7;
}
is_deeply(\@wrong, [], 'of 8 clients with one tag one wins and the others get 412, 10 times');

done_testing();
