#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
#
# The tokens guard other places than the resource too, beside httpd's own Require lines, and what
# httpd refuses at the resource has the contract's form.
use strict;
use warnings;
use File::Basename qw(basename);
use Test::More;
use UserProfile::Test;

my %guards = (vhost => 'guards');
my $ada = user_new(email => 'ada@guards.example.com');
my $user = user_new(full_name => 'Somebody');
my $token = token(sub => $user->{email});
my %as = (
    ada => token(sub => $ada->{email}),
    nobody => token(sub => "nobody-$$\@example.com"),
    deleted => token(sub => user_new(deleted_at => '2026-01-01', is_active => 0)->{email}),
    deactivated => token(sub => user_new(is_active => 0)->{email}),
);

# A guarded document is served, to this user.
sub is_served {
    my ($res, $who, $name) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;
    return is(join(' ', $res->code, $res->header('X-User') // '-', $res->content),
        "200 $who guarded\n", $name);
}

# Refused by httpd, with its page, and with our challenge where that is 401.
sub is_refused_by_httpd {
    my ($res, $status, $name) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;
    return is(join(' ', $res->code, $res->header('Content-Type'), $res->header('WWW-Authenticate') // '-'),
        "$status text/html; charset=iso-8859-1 "
            . ($status == 401 ? 'Bearer realm="guards", error="invalid_token"' : '-'), $name);
}

# How often Redis was asked whether there is a key.
sub asked {
    return if embedded;
    my ($calls) = (redis('INFO', 'commandstats')->{cmdstat_exists} // '') =~ /calls=(\d+)/;

    return $calls // 0;
}

# --- A guarded place ------------------------------------------------------------------------------

for my $path ('/guarded/', '/guarded/index.html', '/plain/', '/plain/index.html') {
    my $count = asked();

    # A token that Redis was not asked for before.
    is_served(request('GET', $path, token => token(sub => $user->{email}), %guards), $user->{email},
        "$path: with a token");
    is(asked(), $count + 1, "$path: whose revocation is looked up once") unless embedded;
    is_error(request('GET', $path, %guards), 401, 'MISSING_TOKEN', "$path: without a token");
    is_error(request('GET', $path, token => 'x.y.z', %guards), 401, 'INVALID_CREDENTIALS',
        "$path: with a bad one");
    is_error(request('GET', $path, token => $as{nobody}, %guards), 401, 'INVALID_CREDENTIALS',
        "$path: of nobody");
    is_error(request('GET', $path, token => $as{deleted}, %guards), 403, 'ACCOUNT_DELETED',
        "$path: of a deleted account");
    is_error(request('GET', $path, token => $as{deactivated}, %guards), 403, 'ACCOUNT_DEACTIVATED',
        "$path: of a deactivated one");
}
is(request('GET', '/plain', token => $token, %guards)->code, 301, "httpd's redirect to the folder");
is(request('GET', '/plain', %guards)->code, 401, 'is for those with a token only');
is_refused_by_httpd(request('GET', '/plain/nothing', token => $token, %guards), 404,
    'what is not there is for httpd to say');
is_error(request('GET', '/plain/nothing', %guards), 401, 'MISSING_TOKEN', 'to those with a token only');
is_error(request('OPTIONS', '/plain/', %guards), 401, 'MISSING_TOKEN',
    'OPTIONS needs a token where it is not the resource');
is_error(request('POST', '/plain/', body => 'x', type => 'text/plain', %guards), 401, 'MISSING_TOKEN',
    'POST without a token');
is(request('GET', '/index.html', %guards)->code, 200, 'an open place stays open');
is(request('GET', '/index.html', token => 'x.y.z', %guards)->code, 200, 'whatever the token there');
{
    my $res = request('HEAD', '/plain/', %guards);
    is(join(' ', $res->code, $res->header('WWW-Authenticate')), '401 Bearer realm="guards"',
        'HEAD without a token');
    is($res->content, '', 'HEAD: no body');
    $res = request('GET', '/plain/', token => 'x.y.z', %guards);
    is($res->header('WWW-Authenticate'), 'Bearer realm="guards", error="invalid_token"',
        'the challenge has the realm of the place');
    my $revoked = token(sub => $user->{email}, jti => "g-$$");
    redis('SET', "blacklisted_access_token:g-$$", '1');
    is_error(request('GET', '/plain/', token => $revoked, %guards), 401, 'TOKEN_REVOKED',
        'a revoked token');
    redis('DEL', "blacklisted_access_token:g-$$");
    is_served(request('GET', '/plain/', token => $revoked, %guards), $user->{email},
        'and when it is not');
    my $gone = user_new();
    $token = token(sub => $gone->{email});
    is_served(request('GET', '/plain/', token => $token, %guards), $gone->{email}, 'an account');
    db()->do('UPDATE users SET is_active = false WHERE id = ?', undef, $gone->{id});
    is_error(request('GET', '/plain/', token => $token, %guards), 403, 'ACCOUNT_DEACTIVATED',
        'is refused from the moment that it is deactivated');
    db()->do('DELETE FROM users WHERE id = ?', undef, $gone->{id});
    is_error(request('GET', '/plain/', token => $token, %guards), 401, 'INVALID_CREDENTIALS',
        'and that it is erased');
    $token = token(sub => $user->{email});
}

# --- httpd's own Require lines --------------------------------------------------------------------

is_served(request('GET', '/ada/', token => $as{ada}, %guards), $ada->{email}, 'Require user: the user');
is_refused_by_httpd(request('GET', '/ada/', token => $token, %guards), 401, 'Require user: another');
is_error(request('GET', '/ada/', %guards), 401, 'MISSING_TOKEN', 'Require user: nobody');
{
    my $brien = user_new(email => 'o\'brien@guards.example.com');
    is_served(request('GET', '/ada/', token => token(sub => $brien->{email}), %guards),
        $brien->{email}, 'Require user: a name with a quote in it');
    db()->do('DELETE FROM users WHERE id = ?', undef, $brien->{id});
}
is_refused_by_httpd(request('GET', '/other/', token => $as{ada}, %guards), 401,
    'Require user: who is not it is asked for another token');
is_refused_by_httpd(request('GET', '/forbidden/', token => $as{ada}, %guards), 403,
    'Require user: or is told so, by AuthzSendForbiddenOnFailure');
for my $who (undef, $token, $as{ada}, 'x.y.z') {
    is_refused_by_httpd(request('GET', '/closed/', token => $who, %guards), 403,
        'Require all denied: with ' . (defined $who ? substr $who, 0, 3 : 'nothing'));
}
is_served(request('GET', '/any/', token => $as{ada}, %guards), $ada->{email}, 'RequireAny: the user');
is(request('GET', '/any/', headers => {'X-Office' => 1}, %guards)->code, 200,
    'RequireAny: the office, without a token');
is_refused_by_httpd(request('GET', '/any/', token => $token, %guards), 401, 'RequireAny: neither');
is_error(request('GET', '/any/', %guards), 401, 'MISSING_TOKEN', 'RequireAny: nobody');

for my $roles (['viewer'], ['guest', 'creator'], 'viewer') {
    my $text = token(sub => $user->{email}, roles => $roles);
    is_served(request('GET', '/roles/', token => $text, %guards), $user->{email},
        'a role: ' . (ref $roles ? "[@$roles]" : $roles));
}
for my $roles (undef, [], ['guest'], 'guest', '', 'viewer creator', ['Viewer'], [['viewer']], {viewer => 1}) {
    my $text = token(sub => $user->{email}, roles => $roles);
    is_error(request('GET', '/roles/', token => $text, %guards), 403, 'INSUFFICIENT_ROLE',
        'no role: ' . (ref $roles || ($roles // 'none')));
}
is_error(request('GET', '/roles/', %guards), 401, 'MISSING_TOKEN', 'a role: nobody');

# --- The resource, under other conditions ---------------------------------------------------------

sub resource {
    my ($method, $where, $text, $office) = @_;

    return request($method, "/$where/me", token => $text, %guards,
        headers => $office ? {'X-Office' => 1} : {});
}

is_profile(resource('GET', 'office', $token, 1), {id => $user->{id}}, 'RequireAll: both hold');
is_error(resource('GET', 'office', $token), 403, 'FORBIDDEN', 'RequireAll: the token only');
is_error(resource('GET', 'office', undef, 1), 401, 'MISSING_TOKEN', 'RequireAll: no token');
is_profile(resource('GET', 'either', $as{ada}), {id => $ada->{id}}, 'RequireAny: the user');
is_profile(resource('GET', 'either', $token, 1), {id => $user->{id}}, 'RequireAny: another, from the office');
is_error(resource('GET', 'either', undef, 1), 401, 'MISSING_TOKEN',
    'RequireAny: from the office, but whose profile?');
is_error(resource('GET', 'either', 'x.y.z', 1), 401, 'INVALID_CREDENTIALS', 'RequireAny: nor with that token');
is_error(resource('GET', 'either', $as{deleted}, 1), 403, 'ACCOUNT_DELETED', 'RequireAny: a deleted account');
{
    my $res = resource('GET', 'either', $token);
    is_error($res, 401, 'INVALID_CREDENTIALS', 'RequireAny: neither, by default 401');
    is($res->header('WWW-Authenticate'), 'Bearer realm="either", error="invalid_token"',
        'RequireAny: with the challenge');
}
for my $who (undef, $token, 'x.y.z') {
    is_error(resource($_, 'closed', $who), 403, 'FORBIDDEN', "Require all denied: $_")
        for qw(GET PATCH OPTIONS TRACE FROBNICATE);
}
is_profile(resource('GET', 'open', $token), {id => $user->{id}}, 'Require all granted: with a token');
is_error(resource('GET', 'open'), 401, 'MISSING_TOKEN', 'Require all granted: a token is needed all the same');
is_error(resource('DELETE', 'open', $as{nobody}), 401, 'INVALID_CREDENTIALS', 'Require all granted: nobody');
{
    my $mark = log_mark();
    my $res = resource('GET', 'unprotected', $token);
    is_error($res, 500, 'INTERNAL_ERROR', 'without AuthType: nobody is let in');
    unlike($res->content, qr{AuthType|/unprotected}, 'without AuthType: the client is not told why');
    log_like($mark, qr{/unprotected/me .*AuthType Bearer}, 'without AuthType: the log says what is missing');
}
is_profile(resource('GET', 'role', token(sub => $user->{email}, roles => ['viewer'])), {}, 'a role');
is_error(resource('GET', 'role', token(sub => $user->{email}, roles => ['guest'])), 403,
    'INSUFFICIENT_ROLE', 'another role');
is_error(resource('GET', 'role', $token), 403, 'INSUFFICIENT_ROLE', 'no role');
is(resource('OPTIONS', 'role')->code, 204, 'OPTIONS needs no role');
is(user_row($user->{id})->{full_name}, 'Somebody', 'nothing has changed');

for my $path ('/profile', '/profile-of-a-folder') {
    my $viewer = token(sub => $user->{email}, roles => ['viewer']);
    is_profile(request('GET', $path, token => $viewer, %guards), {id => $user->{id}}, "$path, by mod_rewrite");
    is_profile(request('PATCH', $path, token => $viewer, %guards, json => {full_name => 'Somebody'}),
        {full_name => 'Somebody'}, "$path, PATCH");
    is_error(request('GET', $path, %guards), 401, 'MISSING_TOKEN', "$path, without a token");
    is_error(request('GET', $path, token => $token, %guards), 403, 'INSUFFICIENT_ROLE',
        "$path, without the role");
    is_error(request('POST', $path, token => $viewer, %guards, body => 'x'), 405, 'METHOD_NOT_ALLOWED',
        "$path, POST");
}

# --- Requests within a request -------------------------------------------------------------------

# mod_autoindex makes one for each file of a folder, to see which of them may be listed, and each has
# roles to look up in the token that came with the folder's.
{
    my $documents = scratch() . '/documents-' . basename($0, '.t');
    mkdir $_ or die "$_: $!\n" for $documents, "$documents/list";
    spew("$documents/list/$_", 'x') for map { ("$_.viewer", "$_.guest") } 1 .. 5;
    my $node = node(documents => $documents, more => <<"CONF")->start;
LoadModule autoindex_module "/usr/lib/apache2/modules/mod_autoindex.so"
<Directory "$documents/list">
    Options +Indexes
    AuthType Bearer
    AuthName "list"
    Require valid-user
</Directory>
<FilesMatch "\\.(viewer|guest)\$">
    AuthType Bearer
    AuthName "list"
</FilesMatch>
<FilesMatch "\\.viewer\$">
    Require userprofile-role viewer
</FilesMatch>
<FilesMatch "\\.guest\$">
    Require userprofile-role guest
</FilesMatch>
CONF
    my %token = map { $_ => token(sub => $user->{email}, roles => [$_]) } qw(viewer guest);

    for my $turn (1 .. 12) {
        my $role = $turn % 2 ? 'viewer' : 'guest';
        my $page = request('GET', '/list/', token => $token{$role}, port => $node->{port});
        is(join(' ', $page->code, sort $page->content =~ /href="(\d\.\w+)"/g),
            join(' ', 200, map { "$_.$role" } 1 .. 5), "a list has what this caller may read ($role, request $turn)");
    }
    $node->stop;
}

# --- ErrorDocument --------------------------------------------------------------------------------

{
    my %at = (vhost => 'errordocuments');

    is_error(me('GET', %at), 401, 'MISSING_TOKEN', 'ErrorDocument: not for our 401');
    is_error(me('GET', token => 'x.y.z', %at), 401, 'INVALID_CREDENTIALS', 'ErrorDocument: nor another');
    is_error(me('GET', token => $as{nobody}, %at), 401, 'INVALID_CREDENTIALS', 'ErrorDocument: nor nobody');
    is_error(me('GET', token => $as{deleted}, %at), 403, 'ACCOUNT_DELETED', 'ErrorDocument: nor 403');
    is_error(request('GET', "$ME/x", token => $token, %at), 404, 'NOT_FOUND', 'ErrorDocument: nor 404');
    is_error(me('POST', token => $token, %at), 405, 'METHOD_NOT_ALLOWED', 'ErrorDocument: nor 405');
    is_error(me('PATCH', token => $token, json => {full_name => 'x' x 256}, %at), 400, 'VALIDATION_ERROR',
        'ErrorDocument: nor 400');
    is_error(me('PATCH', token => $token, body => 'x', type => 'text/plain', %at), 415,
        'UNSUPPORTED_MEDIA_TYPE', 'ErrorDocument: nor 415');
    is_error(me('PATCH', token => $token, body => 'x' x 70_000, type => 'application/json', %at), 413,
        'BODY_TOO_LARGE', 'ErrorDocument: nor 413');
    is_error(me('PATCH', token => $token, json => {full_name => 'x'}, headers => {'If-Match' => '"x"'}, %at),
        412, 'PRECONDITION_FAILED', 'ErrorDocument: nor 412');
    is_error(request('GET', '/unprotected/me', %at), 500, 'INTERNAL_ERROR', 'ErrorDocument: nor 500');
    is(user_row($user->{id})->{full_name}, 'Somebody', 'ErrorDocument: nothing has changed');

    my $page = request('GET', '/index.html', %at)->content;
    my $res = request('GET', '/nothing', %at);
    is(join(' ', $res->code, $res->content), "404 $page", 'ErrorDocument: elsewhere it holds');
    $res = request('GET', '/guarded/', %at);
    is(join(' ', $res->code, $res->content), "401 $page", 'ErrorDocument: at a guarded place too');
    is($res->header('WWW-Authenticate'), 'Bearer realm="guarded"', 'ErrorDocument: and the challenge stays');
    $res = request('GET', '/guarded/', token => $as{deleted}, %at);
    is(join(' ', $res->code, $res->content), '403 The words of this site.',
        'ErrorDocument: at a guarded place, as text');
    my ($answer, $closed) = raw("POST /guarded/ HTTP/1.1\r\nHost: x\r\nContent-Length: 20\r\n\r\nGET /nothing HTTP/1",
        %at);
    is(join(' ', $answer =~ m{HTTP/1\.1 (\d+)}g, $closed), '401 1',
        'ErrorDocument: the connection is closed after an unread body');
}

# --- The log --------------------------------------------------------------------------------------

{
    my $log = sub { slurp('t/logs/guards_log') };

    ok(wait_for(5, sub { $log->() =~ m{^\Q$user->{email}\E 200 /role/me$}m }),
        "httpd's log has the user who was let in");
    like($log->(), qr{^\Q$ada->{email}\E 200 /either/me$}m, 'at each place');
    like($log->(), qr{^\Q$user->{email}\E 403 /role/me$}m, 'and who was refused for a role');
    like($log->(), qr{^- 401 /plain/}m, 'and nobody where there was no token');
}

db()->do('DELETE FROM users WHERE id = ?', undef, $ada->{id});
done_testing();
