#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
#
# Reading: what a profile looks like, its validators, OPTIONS, and that everything else is refused
# in the contract's words.
use strict;
use warnings;
use utf8;
use Encode qw(encode);
use Test::More;
use UserProfile::Contracts;
use UserProfile::Test;

my $ALLOW = 'GET, HEAD, PATCH, DELETE, OPTIONS';
my $ALLOW_AVATAR = 'PUT, POST, DELETE, OPTIONS';
my $PORT = URI->new(url('/'))->port;

my $user = user_new(full_name => 'Ada Lovelace', speaking_language => 'en', listening_language => 'fr',
    avatar_url => 'https://pictures.example.com/ada.png', created_at => '2026-03-14T12:00:00Z');
my $token = token(sub => $user->{email});
my $before = user_row($user->{id});
my $contracts = contracts(readonly => 'UserProfileMethods GET');

# A request as bytes, without a body unless there is one in the headers.
sub bytes {
    my ($method, $path, @headers) = @_;

    return join "\r\n", "$method $path HTTP/1.1", "Host: 127.0.0.1:$PORT", @headers, '', '';
}

# The profile of a new user with these columns: its bytes and what they say.
sub profile_of {
    my $row = user_new(@_);
    my $res = me('GET', token => token(sub => $row->{email}));

    return ($res->content, json($res), $res);
}

sub etag {
    my ($res) = @_;

    return $res->header('ETag') // 'none';
}

sub is_not_modified {
    my ($res, $name) = @_;
    my $is = join ' | ', $res->code, length $res->content,
        map { $res->header($_) // '-' } 'ETag', 'Cache-Control', 'Vary', 'X-Content-Type-Options';
    my $tag = etag(me('GET', token => $token));

    local $Test::Builder::Level = $Test::Builder::Level + 1;
    return is($is, "304 | 0 | $tag | private, no-cache | Authorization | nosniff", $name);
}

# --- The profile ----------------------------------------------------------------------------------

{
    my $res = me('GET', token => $token);

    is_profile($res, {id => $user->{id}, email => $user->{email}, full_name => 'Ada Lovelace',
        avatar_url => 'https://pictures.example.com/ada.png', speaking_language => 'en',
        listening_language => 'fr', created_at => '2026-03-14T12:00:00Z'}, 'GET: the profile');
    is($res->content, qq({"id":$user->{id},"email":"$user->{email}","full_name":"Ada Lovelace",)
            . '"avatar_url":"https://pictures.example.com/ada.png","speaking_language":"en",'
            . '"listening_language":"fr","is_active":true,"is_verified":false,'
            . '"created_at":"2026-03-14T12:00:00Z"}',
        'GET: the fields in their order, each of its type, and nothing else');
    is($res->header('Content-Type'), 'application/json', 'GET: the media type');
    is($res->header('Content-Length'), length $res->content, 'GET: the length is told');
    is(scalar(my @etags = $res->header('ETag')), 1, 'GET: one ETag');
    is($res->header('Last-Modified'), undef, 'GET: no Last-Modified, which is too coarse');
    is($res->header('Set-Cookie'), undef, 'GET: no cookie');
    is($res->header('WWW-Authenticate'), undef, 'GET: no challenge');
    unlike($res->as_string, qr/deleted_at|updated_at|hashed_password/, 'GET: no other column');

    my $head = me('HEAD', token => $token);
    my @same = qw(Content-Type Content-Length ETag Cache-Control Vary X-Content-Type-Options);
    is_deeply([$head->code, map { $head->header($_) } @same],
        [200, map { $res->header($_) } @same], 'HEAD: the headers of GET');
    my ($answer) = raw(bytes('HEAD', $ME, "Authorization: Bearer $token", 'Connection: close'));
    like($answer, qr/\AHTTP\/1.1 200 .*\r\n\r\n\z/s, 'HEAD: no body');

    is_profile(request('GET', "$ME?id=1&token=x&hard=true", token => $token), {id => $user->{id}},
        'GET: a query changes nothing');
    is_profile(me('GET', token => $token, headers => {Accept => 'text/html'}), {},
        'GET: JSON, whatever Accept says');
    is_deeply(user_row($user->{id}), $before, 'GET: reading has changed nothing');
}

# --- Values ---------------------------------------------------------------------------------------

{
    my $name = "Ádám \x{8a9e}\x{1f600} \"q\" \\ /s/ <&> \x{2028}\x{7f}\x{fffd}";
    my ($bytes, $profile) = profile_of(full_name => $name);

    is($profile->{full_name}, $name, 'text: comes back as it is');
    ok(index($bytes, encode('UTF-8', "Ádám \x{8a9e}\x{1f600} ")) >= 0, 'text: UTF-8, not \u-escaped');
    like($bytes, qr{"full_name":"[^"]* \\"q\\" \\\\ /s/ <&> }, 'text: escaped where JSON wants it only');
    ($bytes, $profile) = profile_of(full_name => "a\tb\nc\x{1}d");
    is($profile->{full_name}, "a\tb\nc\x{1}d", 'text: control characters in a column are escaped');
    unlike($bytes, qr/[\x00-\x1f]/, 'text: none is in the JSON as it is');
    my $split = "x\r\nSet-Cookie: stolen=1\r\n\r\n<html>";
    ($bytes, $profile, my $res) = profile_of(full_name => $split, avatar_url => $split,
        speaking_language => "en\r\nX: y");
    is_deeply([@{$profile}{qw(full_name avatar_url)}], [$split, $split], 'text: CR LF stays in its string');
    is($res->header('Set-Cookie') // $res->header('X') // 'none', 'none', 'text: and splits no answer');
    $res = (profile_of(email => "$$ $split"))[2];
    is_error($res, 401, 'INVALID_CREDENTIALS', 'text: a subject with CR LF is none');
    ($bytes) = profile_of(full_name => '');
    like($bytes, qr/"full_name":"",/, 'text: an empty one is not null');
    ($bytes) = profile_of(full_name => 'x' x 255);
    like($bytes, qr/"full_name":"x{255}",/, 'text: a long one is whole');

    ($bytes) = profile_of();
    like($bytes, qr/"full_name":null,"avatar_url":null,/, 'NULL is null');
    like($bytes, qr/"is_active":true,"is_verified":false,/, 'booleans are booleans');
    ($bytes) = profile_of(is_verified => 1);
    like($bytes, qr/"is_verified":true,/, 'and true is true');
    for my $id ('9223372036854775807', '9007199254740993') {
        db()->do('DELETE FROM users WHERE id = ?', undef, $id);
        ($bytes) = profile_of(id => $id);
        like($bytes, qr/\{"id":$id,/, "integers are exact: $id");
        db()->do('DELETE FROM users WHERE id = ?', undef, $id);
    }

    my %times = (
        '2026-03-14 12:00:00+00' => '2026-03-14T12:00:00Z',
        '2026-03-14 12:00:00.5+00' => '2026-03-14T12:00:00.5Z',
        '2026-03-14 12:00:00.120000+00' => '2026-03-14T12:00:00.12Z',
        '2026-03-14 12:00:00.000001+00' => '2026-03-14T12:00:00.000001Z',
        '2026-03-14 00:15:00.1+05:45' => '2026-03-13T18:30:00.1Z',
        '2024-02-29 23:59:59.999999-12' => '2024-03-01T11:59:59.999999Z',
        '1969-12-31 23:59:59+00' => '1969-12-31T23:59:59Z',
        '0987-01-02 03:04:05+00' => '0987-01-02T03:04:05Z',
    );
    for my $time (sort keys %times) {
        my (undef, $is) = profile_of(created_at => $time);
        is($is->{created_at}, $times{$time}, "time: $time");
    }
}

# --- ETag and If-None-Match -----------------------------------------------------------------------

{
    my $row = user_new(full_name => 'A', speaking_language => 'en', listening_language => 'en');
    my $its = sub { etag(me('GET', token => token(sub => $row->{email}))) };
    my $first = $its->();
    my %seen = ($first => 'as it was');
    my %changes = (full_name => 'B', avatar_url => 'https://x/', speaking_language => 'fr',
        listening_language => 'fr', is_verified => 1, created_at => '2001-02-03T04:05:06Z');

    is($its->(), $first, 'ETag: the same as long as the profile is');
    for my $column (sort keys %changes) {
        db()->do("UPDATE users SET $column = ? WHERE id = ?", undef, $changes{$column}, $row->{id});
        my $etag = $its->();
        is($seen{$etag}, undef, "ETag: another one after a change of $column");
        $seen{$etag} = $column;
        db()->do("UPDATE users SET $column = ? WHERE id = ?", undef, $row->{$column}, $row->{id});
        is($its->(), $first, "ETag: as before, when $column is as before");
    }
    db()->do('UPDATE users SET full_name = ? WHERE id = ?', undef, '-', $row->{id});
    my $dash = $its->();
    db()->do('UPDATE users SET full_name = NULL WHERE id = ?', undef, $row->{id});
    isnt($its->(), $dash, 'ETag: NULL is no text');
    db()->do('UPDATE users SET full_name = ?, avatar_url = ? WHERE id = ?', undef, 'a', 'bc', $row->{id});
    my $one = $its->();
    db()->do('UPDATE users SET full_name = ?, avatar_url = ? WHERE id = ?', undef, 'ab', 'c', $row->{id});
    isnt($its->(), $one, 'ETag: a text that moves to the next field changes it');
    $one = $its->();
    db()->do("UPDATE users SET updated_at = '2001-01-01', hashed_password = 'x' WHERE id = ?", undef,
        $row->{id});
    is($its->(), $one, 'ETag: columns that are not shown do not change it');

    my $res = me('GET', token => token(sub => $row->{email}), $contracts->at);
    is(etag($res), $one, 'ETag: the same on another node');
}

{
    my $etag = etag(me('GET', token => $token));
    my ($value) = $etag =~ /"(.*)"/;
    my $conditional = sub {
        my ($tags, $method) = @_;
        return me($method // 'GET', token => $token, headers => {'If-None-Match' => $tags});
    };

    is_not_modified($conditional->($etag), 'If-None-Match: the tag');
    is_not_modified($conditional->("W/$etag"), 'If-None-Match: compared weakly');
    is_not_modified($conditional->(qq("x", $etag,"y")), 'If-None-Match: in a list');
    is_not_modified($conditional->('*'), 'If-None-Match: *');
    is_not_modified($conditional->(qq("$value-gzip")), "If-None-Match: with mod_deflate's suffix");
    is_not_modified($conditional->($etag, 'HEAD'), 'If-None-Match: HEAD');
    is_not_modified(me('GET', token => $token, headers => ['If-None-Match' => '"x"',
        'If-None-Match' => $etag]), 'If-None-Match: in two header fields');
    is($conditional->($etag)->header('Content-Type'), undef, '304: no Content-Type');
    for my $other ('"x"', $value, "\"$value", '""', 'W/"x"', "\"$value-gzip2\"", '"*"', '*, "x"',
        uc $etag, '') {
        is_profile($conditional->($other), {}, "If-None-Match: $other is another");
    }
    is_error(me('GET', headers => {'If-None-Match' => $etag}), 401, 'MISSING_TOKEN',
        'If-None-Match: nothing is told without a token');
    is_error(me('GET', headers => {'If-None-Match' => '*'}), 401, 'MISSING_TOKEN',
        'If-None-Match: * neither');
    is_profile(me('GET', token => $token, headers => {'If-Modified-Since' =>
        'Fri, 01 Jan 2100 00:00:00 GMT'}), {}, 'If-Modified-Since has nothing to be compared with');
}

# --- Ranges ---------------------------------------------------------------------------------------

for my $range ('bytes=0-5', 'bytes=-5', 'bytes=5-', 'bytes=100000-', 'bytes=0-1,3-4') {
    my $res = me('GET', token => $token, headers => {Range => $range});

    is_profile($res, {id => $user->{id}}, "Range: $range is ignored");
    is($res->header('Content-Range'), undef, "Range: $range: no Content-Range");
}
is_profile(me('GET', token => $token, headers => {Range => 'bytes=0-5', 'If-Range' =>
    etag(me('GET', token => $token))}), {}, 'Range: with If-Range it is ignored as well');

# --- OPTIONS --------------------------------------------------------------------------------------

sub is_options {
    my ($res, $allow, $patch, $name) = @_;
    my $is = join ' | ', $res->code, length $res->content, map { $res->header($_) // '-' }
        'Allow', 'Accept-Patch', 'X-Content-Type-Options', 'WWW-Authenticate', 'Content-Type';

    local $Test::Builder::Level = $Test::Builder::Level + 1;
    return is($is, "204 | 0 | $allow | $patch | nosniff | - | -", $name);
}

my $PATCHES = 'application/json, application/merge-patch+json, multipart/form-data';
is_options(me('OPTIONS'), $ALLOW, $PATCHES, 'OPTIONS: without a token');
is_options(me('OPTIONS', token => $token), $ALLOW, $PATCHES, 'OPTIONS: with one');
is_options(me('OPTIONS', token => 'x.y.z'), $ALLOW, $PATCHES, 'OPTIONS: a token is not looked at');
is_options(me('OPTIONS', headers => {Origin => 'https://app.example.com',
    'Access-Control-Request-Method' => 'PATCH', 'Access-Control-Request-Headers' => 'authorization'}),
    $ALLOW, $PATCHES, "OPTIONS: a browser's preflight");
is_options(request('OPTIONS', "$ME/avatar"), $ALLOW_AVATAR, '-', 'OPTIONS: of the avatar');
is_options(request('OPTIONS', $ME, $contracts->at('readonly')), 'GET, HEAD, OPTIONS', '-',
    'OPTIONS: says what is enabled, and no more');
is_error(request('OPTIONS', "$ME/nothing"), 404, 'NOT_FOUND', 'OPTIONS: of a path that is not there');
is_error(request('OPTIONS', "$ME/avatar", $contracts->at('readonly')), 404, 'NOT_FOUND',
    'OPTIONS: of an avatar that is not enabled');
is_error(request('OPTIONS', '/office/me', vhost => 'guards'), 403, 'FORBIDDEN',
    'OPTIONS: needs no token, but what else is required holds');
is_error(request('OPTIONS', '/office/me', vhost => 'guards', token => $token), 403, 'FORBIDDEN',
    'OPTIONS: with a token likewise');
is_options(request('OPTIONS', '/office/me', vhost => 'guards', headers => {'X-Office' => 1}), $ALLOW,
    $PATCHES, 'OPTIONS: and is answered where that is so');

# --- Methods --------------------------------------------------------------------------------------

sub is_not_allowed {
    my ($res, $allow, $name) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;
    is_error($res, 405, 'METHOD_NOT_ALLOWED', $name);
    return is($res->header('Allow'), $allow, "$name: Allow");
}

is_not_allowed(me($_, token => $token), $ALLOW, "405: $_")
    for qw(POST PUT PROPFIND MKCOL LOCK REPORT get Get patch FROBNICATE);
is_not_allowed(me('POST', token => $token, json => {full_name => 'x'}), $ALLOW, '405: POST with a body');
is_not_allowed(me('PUT', token => $token, json => {full_name => 'x'}), $ALLOW, '405: PUT with a body');
is_not_allowed(request($_, "$ME/avatar", token => $token), $ALLOW_AVATAR, "405: $_ of the avatar")
    for qw(GET PATCH FROBNICATE);
is(request('HEAD', "$ME/avatar", token => $token)->code, 405, '405: HEAD of the avatar');
is_not_allowed(me($_, token => $token, $contracts->at('readonly'), json => {}), 'GET, HEAD, OPTIONS',
    "405: $_ where it is not enabled") for qw(PATCH DELETE PUT);
is_error(me($_), 401, 'MISSING_TOKEN', "405: $_ is told to nobody without a token")
    for qw(POST PUT TRACE FROBNICATE);
is_deeply(user_row($user->{id}), $before, '405: nothing has changed');

for my $vhost (undef, 'traceextended', 'traceoff') {
    my $name = 'TRACE, ' . ($vhost // 'as by default');
    my $res = me('TRACE', token => $token, vhost => $vhost);

    is_not_allowed($res, $ALLOW, $name);
    ok(index($res->as_string, $token) < 0, "$name: the token is not sent back");
    $res = me('TRACE', vhost => $vhost, headers => {'X-Echo' => 'is not to be echoed'});
    is_error($res, 401, 'MISSING_TOKEN', "$name: without a token");
    unlike($res->content, qr/echoed/, "$name: nothing is sent back");
}
is(request('TRACE', '/index.html')->code, 200, "TRACE: elsewhere it is httpd's matter");
is_not_allowed(me('TRACE', token => $token, vhost => 'traceextended', type => 'text/plain',
    body => 'echo'), $ALLOW, 'TRACE: with a body, extended');

# --- Paths ----------------------------------------------------------------------------------------

is_error(request('GET', "$ME$_", token => $token), 404, 'NOT_FOUND', "404: $_")
    for '/', '/x', '/avatar/', '/avatar/x', '/Avatar', '/avatar.png', '/x/../y', '/%61vatars',
    '/me', '/.htaccess', '/x?hard=true';
is_error(request($_, "$ME/x", token => $token), 404, 'NOT_FOUND', "404: $_ below")
    for qw(PATCH DELETE POST FROBNICATE);
is_error(request('GET', "$ME/x"), 401, 'MISSING_TOKEN', '404: is told to nobody without a token');
is_error(request('DELETE', "$ME/avatar", token => $token, $contracts->at('readonly')), 404, 'NOT_FOUND',
    '404: the avatar where it is not enabled');
is_profile(request('GET', $_, token => $token), {id => $user->{id}}, "another spelling: $_")
    for '/api/v1/users/%6de', '/api/v1/users/x/../me', '/api/v1//users/me', '/api/v1/./users/me',
    '/x/../api/v1/users/me', "$ME?";
is_not_allowed(request('GET', "$ME//avatar", token => $token), $ALLOW_AVATAR, 'a doubled slash below');
for my $path ('/api/v1/users/meow', '/api/v1/users/ME', '/api/v1/users', '/api/v1/users/me%2favatar',
    '/api/v1/users/me;x', '/API/v1/users/me') {
    my $res = request('GET', $path, token => $token);
    is($res->code, 404, "$path is not ours");
    unlike($res->header('Content-Type') // '', qr/json/, "$path is httpd's to answer");
}
is_deeply(user_row($user->{id}), $before, '404: nothing has changed');

# --- On the wire ----------------------------------------------------------------------------------

{
    my $auth = "Authorization: Bearer $token";
    my $answer = raw(bytes('GET', $ME, $auth) . bytes('HEAD', $ME, $auth) . bytes('GET', $ME)
            . bytes('OPTIONS', $ME) . bytes('GET', "$ME/x", $auth) . bytes('POST', $ME, $auth)
            . bytes('GET', $ME, $auth, "If-None-Match: *") . bytes('GET', '/index.html')
            . bytes('GET', $ME, $auth, 'Connection: close'));
    is(join(' ', $answer =~ m{HTTP/1\.1 (\d+)}g), '200 200 401 204 404 405 304 200 200',
        'a connection is kept for the next request, after refusals without a body too');
    is(scalar(my @profiles = $answer =~ /\{"id":$user->{id},/g), 2, 'and each has its own answer');
    like($answer, qr/"created_at":"[^"]*"\}\z/, 'the last one whole');

    # A body is nothing to GET, and no request either.
    my $inner = bytes('DELETE', $ME, $auth);
    my $length = 'Content-Length: ' . length $inner;
    my ($profile, $ended) = raw(bytes('GET', $ME, $auth, $length) . $inner);
    is(join(' ', $profile =~ m{HTTP/1\.1 (\d+)}g), '200', 'the body of a GET is no request');
    ok($ended, 'and is not read: the connection is closed');
    ($profile, $ended) = raw(bytes('OPTIONS', $ME, $length) . $inner);
    is(join(' ', $profile =~ m{HTTP/1\.1 (\d+)}g), '204', 'the body of OPTIONS neither');
    ok($ended, 'and is not read: the connection is closed');
    for my $method (qw(POST FROBNICATE TRACE)) {
        my ($refusal, $closed) = raw(bytes($method, $ME, $auth, $length) . $inner);
        is(join(' ', $refusal =~ m{HTTP/1\.1 (\d+)}g), '405', "the unread body of $method neither");
        ok($closed, "and the connection is closed after $method");
    }
    my ($refusal, $closed) = raw(bytes('POST', "$ME/x", $auth, 'Transfer-Encoding: chunked')
            . sprintf("%x\r\n", length $inner) . $inner);
    is(join(' ', $refusal =~ m{HTTP/1\.1 (\d+)}g), '404', 'nor the unread body of a path below');
    ok($closed, 'and the connection is closed');
    is_deeply(user_row($user->{id}), $before, 'nothing was deleted by what was in a body');

    like(raw("GET $ME HTTP/1.0\r\n$auth\r\n\r\n"), qr/\AHTTP\/1\.1 200 .*"id":$user->{id},/s,
        'HTTP/1.0, without Host');
    like(raw(bytes('GET', "http://127.0.0.1:$PORT$ME", $auth, 'Connection: close')),
        qr/\AHTTP\/1\.1 200 /, 'the absolute form of a URL');
    like(raw(bytes('GET', $ME, 'X: ' . 'x' x 9000, $auth)), qr/\AHTTP\/1\.1 400 /,
        "a header over httpd's limit is httpd's to refuse");
}

done_testing();
