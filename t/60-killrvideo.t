#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
#
# The second contract, whole: conf/killrvideo.conf on a database made by sql/killrvideo.sql.
use strict;
use warnings;
use utf8;
use HTTP::Response ();
use IO::Socket::INET ();
use JSON::PP ();
use Test::More;
use UserProfile::Test;

binmode Test::More->builder->$_, ':encoding(UTF-8)' for qw(output failure_output todo_output);

my $JSON = JSON::PP->new->utf8->canonical;
my $DB = 'killrvideo';
my $top = scratch() . '/top';
my @SEVEN = qw(userId firstname lastname email account_status created_date last_login_date);
my @COLUMNS = qw(userid firstname lastname email account_status created_date last_login_date);
my $UUID = qr/^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

# Beside the resource, places that others guard with its tokens.
my $node = node(defines => {USERPROFILE_DB => servers()->dsn($DB)}, conf => <<"CONF")->start;
Include "$top/conf/killrvideo.conf"
SetEnvIf X-Let-In . let_in
<LocationMatch "^/place/">
    AuthType Bearer
    AuthName "places"
    AuthzSendForbiddenOnFailure On
</LocationMatch>
<Location "/place/any">
    <RequireAny>
        Require userprofile-role moderator
        Require env let_in
    </RequireAny>
</Location>
<Location "/place/all">
    <RequireAll>
        Require userprofile-role viewer
        Require userprofile-role creator
        Require env let_in
    </RequireAll>
</Location>
<Location "/place/not">
    <RequireAll>
        Require valid-user
        Require not userprofile-role creator moderator
    </RequireAll>
</Location>
CONF

sub viewer_new {
    my $name = 'v' . substr rand, 2;

    return insert($DB, 'users', email => "$name\@example.com", firstname => 'John', lastname => 'Doe', @_);
}

# A token of a user as its login service makes them: neither jti nor type, and roles.
sub of {
    my ($user, %claims) = @_;

    return token(sub => $user->{userid}, jti => undef, type => undef, roles => ['viewer'], %claims);
}

sub here {
    my ($method, %option) = @_;

    return request($method, delete $option{path} // $ME, port => $node->{port}, %option);
}

# The row with all that Postgres knows of it: a write of any kind gives it another xmin or place.
sub row {
    my ($user) = @_;

    return db($DB)->selectrow_hashref('SELECT *, xmin::text, ctid::text FROM users WHERE userid = ?',
        undef, $user->{userid});
}

# One check that the row is what it was.
sub untouched {
    my ($before, $name) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;

    return is_deeply(row($before), $before, $name);
}

sub count {
    return db($DB)->selectrow_array('SELECT count(*) FROM users');
}

# --- The profile ----------------------------------------------------------------------------------

my $user = viewer_new(created_date => '2025-10-31 10:30:00+00', firstname => 'Jürgen',
    last_login_date => '2025-10-31 14:22:15.120+00');
my $token = of($user);
my $res = here('GET', token => $token);

is_profile($res, {
        userId => $user->{userid}, firstname => 'Jürgen', lastname => 'Doe', email => $user->{email},
        account_status => 'viewer', created_date => '2025-10-31T10:30:00Z',
        last_login_date => '2025-10-31T14:22:15.12Z'
    }, 'GET: the seven fields in their order', fields => \@SEVEN);
like(json($res)->{userId}, $UUID, 'GET: userId is a uuid');
unlike($res->content, qr/\\u/, 'GET: UTF-8 as it is');
my $blank = viewer_new(email => undef);
is_profile(here('GET', token => of($blank)), {email => undef, last_login_date => undef},
    'GET: what is NULL is null', fields => \@SEVEN);
my $head = here('HEAD', token => $token);
is($head->code . $head->header('ETag') . $head->content, 200 . $res->header('ETag'), 'HEAD: as GET');
is(here('GET', token => $token, headers => {'If-None-Match' => $res->header('ETag')})->code, 304,
    'GET: 304 for a tag that is known');
is_profile(here('GET', token => of($user, sub => uc $user->{userid})), {userId => $user->{userid}},
    'GET: a subject in upper case is the same uuid', fields => \@SEVEN);

# --- PUT is a partial update ----------------------------------------------------------------------

# One PUT that is taken: its answer is the row as it is now.
sub taken {
    my ($name, $json, $columns, %option) = @_;
    my $user = $option{user} // viewer_new();
    my $res = here('PUT', token => of($user), exists $option{body} ? %option : (json => $json));
    my $row = row($user);

    is_profile($res, {map { $SEVEN[$_] => $row->{$COLUMNS[$_]} } 0 .. 4}, "PUT: $name", fields => \@SEVEN);
    is_deeply({map { $_ => $row->{$_} } @COLUMNS}, {(map { $_ => $user->{$_} } @COLUMNS), %$columns},
        '... and nothing but that has changed');
    return $res;
}

taken('one field', {firstname => 'Jane'}, {firstname => 'Jane'});
taken('the other', {lastname => 'Smith'}, {lastname => 'Smith'});
taken('both', {firstname => 'Jane', lastname => 'Smith'}, {firstname => 'Jane', lastname => 'Smith'});
taken('what it is already', {firstname => 'John'}, {});
taken('one character', {firstname => 'J'}, {firstname => 'J'});
taken('50 characters', {firstname => 'x' x 50}, {firstname => 'x' x 50});
taken('50 characters of four bytes', {firstname => "\x{1F600}" x 50}, {firstname => "\x{1F600}" x 50});
taken('50 characters that are sent as 100', {firstname => "e\x{301}" x 50}, {firstname => "\xe9" x 50});
taken('blanks around it, which go', {firstname => "\x{2003} Jane\t\n", lastname => ' O\'Neill '},
    {firstname => 'Jane', lastname => "O'Neill"});
taken('what SQL might mistake', {firstname => q('; DROP TABLE users; --), lastname => '%s$1\\'},
    {firstname => q('; DROP TABLE users; --), lastname => '%s$1\\'});
taken('a merge patch', undef, {firstname => 'Jane'}, type => 'application/merge-patch+json',
    body => '{"firstname": "Jane"}');
taken('a form', undef, {firstname => 'Jane', lastname => 'Smith'}, do {
    my ($type, $body) = multipart([{name => 'firstname', body => ' Jane '}, {name => 'lastname',
        body => 'Smith'}]);
    (type => $type, body => $body);
});
my %protected = (userId => '00000000-0000-0000-0000-000000000000', userid => 'x', email => 'x@evil.example',
    account_status => 'moderator', created_date => '1970-01-01T00:00:00Z', last_login_date => undef,
    hashed_password => 'x', deleted_at => 'now', avatar => 'x', '__proto__' => {});
taken('a field beside all that are protected', {firstname => 'Jane', %protected}, {firstname => 'Jane'});

for my $case (['{}', {}], ['protected and unknown fields alone', \%protected],
    map { ["$_ alone", {$_ => $protected{$_}}] } sort keys %protected) {
    my ($what, $json) = @$case;
    my $before = row($user);
    is_profile(here('PUT', token => $token, json => $json), {userId => $user->{userid}, firstname => 'Jürgen'},
        "PUT: $what is answered with the profile", fields => \@SEVEN);
    untouched($before, '... without a write');
}

# What the database makes of a write is what the client is told.
db($DB)->do(<<'SQL');
CREATE FUNCTION shout() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN NEW.lastname := upper(NEW.lastname); NEW.account_status := 'creator'; RETURN NEW; END $$;
CREATE TRIGGER shout BEFORE UPDATE ON users FOR EACH ROW EXECUTE FUNCTION shout();
SQL
taken('a trigger has its say', {firstname => 'Jane'},
    {firstname => 'Jane', lastname => 'DOE', account_status => 'creator'});
db($DB)->do('DROP TRIGGER shout ON users; DROP FUNCTION shout();');

# --- What is refused ------------------------------------------------------------------------------

my $TITLES = {};

# One error with all that problem details have, and the row as it was.
sub refused {
    my ($name, $res, $status, $code, %option) = @_;
    my $problem = json($res) // {};
    my @members = qw(type title status detail instance code);
    my @wrong;

    is_error($res, $status, $code, $name, %option);
    push @wrong, $res->header('Content-Type')
        unless $res->header('Content-Type') eq 'application/problem+json';
    push @wrong, "type $problem->{type}" unless $problem->{type} eq '/docs/problems#' . lc $code =~ tr/_/-/r;
    push @wrong, "status $problem->{status}" unless $res->content =~ /"status":$status\b/;
    push @wrong, "instance $problem->{instance}" unless $problem->{instance} eq ($option{path} // $ME);
    push @wrong, "title $problem->{title}" if ($TITLES->{$code} //= $problem->{title}) ne $problem->{title};
    push @wrong, 'its members are ' . join ' ', sort keys %$problem
        unless "@{[sort keys %$problem]}" eq "@{[sort @members, $option{fields} ? 'errors' : ()]}";
    for my $error (@{$problem->{errors} // []}) {
        push @wrong, "pointer $error->{pointer}" unless $error->{pointer} eq "#/$error->{field}";
        push @wrong, "no detail of $error->{field}" unless length $error->{detail};
    }
    is("@wrong", '', '... with all that problem details have');
    return;
}

# One PUT that is refused.
sub invalid {
    my ($name, $json, @fields) = @_;
    my $before = row($user);

    refused("PUT: $name", here('PUT', token => $token, json => $json), 422, 'VALIDATION_ERROR',
        fields => {map { $_ => 'VALIDATION_ERROR' } @fields});
    untouched($before, '... and nothing is written');
    return;
}

invalid('an empty name', {firstname => ''}, 'firstname');
invalid('a name of blanks', {firstname => "\x{2003} \t"}, 'firstname');
invalid('null', {firstname => undef}, 'firstname');
invalid('51 characters', {firstname => 'x' x 51}, 'firstname');
invalid('51 characters of four bytes', {lastname => "\x{1F600}" x 51}, 'lastname');
invalid('a control character', {lastname => "Do\x{7}e"}, 'lastname');
invalid('U+0000', {lastname => "Do\0e"}, 'lastname');
invalid('a number', {firstname => 1}, 'firstname');
invalid('true', {firstname => JSON::PP::true()}, 'firstname');
invalid('a list', {firstname => ['Jane']}, 'firstname');
invalid('an object', {firstname => {en => 'Jane'}}, 'firstname');
invalid('both', {firstname => '', lastname => 'x' x 51}, 'firstname', 'lastname');
invalid('one of two', {firstname => 'Jane', lastname => undef}, 'lastname');

# Malformed is 400, and not 422.
for my $case (
    ['nothing', '', 'MALFORMED_JSON'], ['no JSON', '{"firstname": Jane}', 'MALFORMED_JSON'],
    ['a list', '[]', 'MALFORMED_JSON'], ['a string', '"Jane"', 'MALFORMED_JSON'],
    ['two objects', '{}{}', 'MALFORMED_JSON'], ['half of it', '{"firstname": "Ja', 'MALFORMED_JSON'],
    ['a member twice', '{"firstname":"a","firstname":"b"}', 'MALFORMED_JSON'],
    ['no UTF-8', qq({"firstname":"\xff"}), 'MALFORMED_JSON'],
    ['33 levels', '{"x":' . '[' x 32 . ']' x 32 . '}', 'MALFORMED_JSON'],
    ['a form that is none', 'x', 'MALFORMED_MULTIPART', 'multipart/form-data; boundary=b'],
    ) {
    my ($what, $body, $code, $type) = @$case;
    my $before = row($user);
    refused("PUT: $what", here('PUT', token => $token, type => $type // 'application/json',
        body => $body), 400, $code);
    untouched($before, '... and nothing is written');
}

my $before = row($user);
for my $type ('text/plain', 'application/x-www-form-urlencoded', 'application/json-patch+json', 'image/png') {
    refused("PUT: $type", here('PUT', token => $token, type => $type, body => '{"firstname":"x"}'), 415,
        'UNSUPPORTED_MEDIA_TYPE');
}
refused('PUT: more than 64 KiB', here('PUT', token => $token, type => 'application/json',
    body => '{"firstname":"' . 'x' x 65_536 . '"}'), 413, 'BODY_TOO_LARGE');
refused('PUT: a stale tag', here('PUT', token => $token, headers => {'If-Match' => '"0"'},
    json => {firstname => 'x'}), 412, 'PRECONDITION_FAILED');
for my $method (qw(PATCH DELETE POST TRACE COPY)) {
    my $res = here($method, token => $token, json => {firstname => 'x'});
    refused("$method is not there", $res, 405, 'METHOD_NOT_ALLOWED');
    is($res->header('Allow'), 'GET, HEAD, PUT, OPTIONS', '... and Allow says what is');
}
for my $below ('/avatar', '/x', '/', '/avatar/') {
    refused("$ME$below is not there", here('PUT', path => "$ME$below", token => $token, json => {}), 404,
        'NOT_FOUND', path => "$ME$below");
}
untouched($before, 'after all of these the row is as it was');

my $options = here('OPTIONS');
is($options->code, 204, 'OPTIONS needs no token');
is($options->header('Allow'), 'GET, HEAD, PUT, OPTIONS', '... and says what there is');
is($options->header('Accept-Patch'), undef, '... which is no PATCH');
is($options->content, '', '... without a body');

# --- Who is asking --------------------------------------------------------------------------------

my $count = count();
my %nobody = (userid => '550e8400-e29b-41d4-a716-446655440000');
refused('an unknown user: GET', here('GET', token => of(\%nobody)), 404, 'NOT_FOUND');
refused('an unknown user: PUT', here('PUT', token => of(\%nobody), json => {firstname => 'x'}), 404, 'NOT_FOUND');
refused('an unknown user: PUT of nothing', here('PUT', token => of(\%nobody), json => {}), 404, 'NOT_FOUND');
refused('an unknown user: PUT with If-Match: *', here('PUT', token => of(\%nobody),
    headers => {'If-Match' => '*'}, json => {firstname => 'x'}), 404, 'NOT_FOUND');
is(count(), $count, '... who is never created');

refused('no token', here('GET'), 401, 'MISSING_TOKEN');
refused('a token of another key', here('GET', token => of($user, -key => 'x' x 66)), 401, 'INVALID_CREDENTIALS');
refused('a token that is over', here('GET', token => of($user, exp => 1)), 401, 'INVALID_CREDENTIALS');
is_profile(here('GET', token => of($user, jti => "kv-$$", type => 'refresh')), {userId => $user->{userid}},
    'a token may have jti and type', fields => \@SEVEN);
redis('SETEX', "blacklisted_access_token:kv-$$", 60, 1);
refused('a jti that is blacklisted', here('GET', token => of($user, jti => "kv-$$")), 401, 'TOKEN_REVOKED');

# Where nobody can be asked, who asks all the same gets 503.
my $alone = node(conf => qq(Include "$top/conf/killrvideo.conf"\n),
    defines => {USERPROFILE_DB => 'host=/nowhere', USERPROFILE_TOKENS => 'redis+unix:///nowhere'})->start;
for my $subject ('ada@example.com', 'x' x 36, '550e8400-e29b-41d4-a716-44665544000',
    '550e8400-e29b-41d4-a716-4466554400000', '550e8400e29b41d4a716446655440000',
    '{550e8400-e29b-41d4-a716-446655440000}', ' 550e8400-e29b-41d4-a716-446655440000',
    '550e8400-e29b-41d4-a716-44665544000g', "' OR true --", '1') {
    refused("a subject that is no uuid, before anybody is asked: $subject",
        here('GET', token => of({userid => $subject}, jti => 'x'), port => $alone->{port}), 401,
        'INVALID_CREDENTIALS');
}
is_error(here('GET', token => of(\%nobody), port => $alone->{port}), 503, 'SERVICE_UNAVAILABLE',
    'a uuid is looked up: 503 without a database');
is_error(here('GET', token => of(\%nobody, jti => 'x'), port => $alone->{port}), 503,
    'SERVICE_UNAVAILABLE', 'a jti is looked up: 503 without a token store');
$alone->stop;

# --- Roles ----------------------------------------------------------------------------------------

for my $roles ((map { [$_] } qw(viewer creator moderator active)), [qw(admin creator)], ['viewer', 1, undef],
    'viewer', 'active') {
    is(here('GET', token => of($user, roles => $roles))->code, 200,
        'roles that may: ' . JSON::PP->new->allow_nonref->encode($roles));
}
for my $roles (undef, [], ['admin'], ['Viewer'], ['viewer '], ['view'], ['viewers'], [''], [1], [['viewer']],
    [{viewer => 1}], {viewer => JSON::PP::true()}, 'admin', 'viewer creator', '', 1, JSON::PP::true()) {
    my $json = JSON::PP->new->allow_nonref->encode($roles);
    my $res = here('PUT', token => of($user, roles => $roles), json => {firstname => 'x'});
    is_error($res, 403, 'INSUFFICIENT_ROLE', "roles that may not: $json");
}
is_error(here('GET', token => of($user, roles => ["viewer\0"])), 401, 'INVALID_CREDENTIALS',
    'a role with U+0000: no token at all');
refused('a role that may not', here('GET', token => of($user, roles => ['admin'])), 403, 'INSUFFICIENT_ROLE');
refused('the role goes before the method', here('DELETE', token => of($user, roles => [])), 403,
    'INSUFFICIENT_ROLE');
is_deeply(row($user)->{firstname}, $user->{firstname}, '... and nothing is written');

# A place that lets in has no document: 404.
my @PLACES = (
    ['any', ['moderator'], 0, 404, 'one of two, by the role'], ['any', ['viewer'], 1, 404, 'one of two, by the other'],
    ['any', ['viewer'], 0, 403, 'neither of two'],
    ['all', ['viewer', 'creator'], 1, 404, 'all of three'], ['all', ['viewer', 'creator'], 0, 403, 'all but what is no role'],
    ['all', ['viewer'], 1, 403, 'all but a role'], ['all', ['active', 'creator'], 1, 404, 'all, one by its alias'],
    ['not', ['viewer'], 0, 404, 'no role that is shut out'], ['not', [], 0, 404, 'no role at all'],
    ['not', ['viewer', 'creator'], 0, 403, 'a role that is shut out'],
);
for my $case (@PLACES) {
    my ($place, $roles, $let_in, $status, $what) = @$case;
    is(here('GET', path => "/place/$place", token => of($user, roles => $roles),
        headers => $let_in ? {'X-Let-In' => 1} : {})->code, $status, "Require $place: $what");
}
is_error(here('GET', path => '/place/any', token => of($user)), 403, 'INSUFFICIENT_ROLE',
    'Require any: it is the role that lacks');
is_error(here('GET', path => '/place/all', headers => {'X-Let-In' => 1}), 401, 'MISSING_TOKEN',
    'Require all: nobody gets in without a token');

# --- At the same time -----------------------------------------------------------------------------

# Sends all PUTs but for their last byte, then that, and reads all answers.
sub at_once {
    my ($token, @requests) = @_;
    my @sockets = map {
        my ($headers, $json) = @$_;
        my $body = $JSON->encode($json);
        my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $node->{port}) or die $!;
        my $bytes = "PUT $ME HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer $token\r\n"
            . "Content-Type: application/json\r\nConnection: close\r\n${headers}Content-Length: "
            . length($body) . "\r\n\r\n$body";
        print {$socket} substr $bytes, 0, -1;
        $socket->flush;
        $socket;
    } @requests;

    syswrite $_, '}' for @sockets;
    return map { local $/; HTTP::Response->parse(scalar readline $_) } @sockets;
}

my @wrong;
for my $round (1 .. 100) {
    my $tag = here('GET', token => $token)->header('ETag');
    my @answers = at_once($token,
        map { ["If-Match: $tag\r\n", {firstname => "r$round c$_"}] } 1 .. 16);
    my @won = grep { $answers[$_]->code == 200 } 0 .. 15;
    my @lost = grep { $_->code == 412 && json($_)->{code} eq 'PRECONDITION_FAILED' } @answers;
    push @wrong, "round $round: " . @won . " won and " . @lost . " lost"
        unless @won == 1 && @lost == 15;
    push @wrong, "round $round: the row is another's"
        unless row($user)->{firstname} eq "r$round c" . (1 + ($won[0] // -1));
}
is_deeply(\@wrong, [], 'of 16 clients with one tag one wins and fifteen get 412, a hundred times');

@wrong = ();
for my $round (1 .. 20) {
    db($DB)->do("UPDATE users SET firstname = 'f', lastname = 'l' WHERE userid = ?", undef, $user->{userid});
    my @answers = at_once($token, map { (['', {firstname => "f$_"}], ['', {lastname => "l$_"}]) } 1 .. 4);
    my $row = row($user);
    push @wrong, "round $round: " . join ' ', map { $_->code } @answers if grep { $_->code != 200 } @answers;
    push @wrong, "round $round: $row->{firstname} $row->{lastname}"
        unless $row->{firstname} =~ /^f[1-4]$/ && $row->{lastname} =~ /^l[1-4]$/;
    for my $i (0 .. 7) {
        my $own = $i % 2 ? 'lastname' : 'firstname';
        my $is = json($answers[$i])->{$own};
        push @wrong, "round $round: writer $i is told $is" unless $is eq substr($own, 0, 1) . (1 + int $i / 2);
    }
}
is_deeply(\@wrong, [], 'writers of different columns never undo one another, 20 times');

done_testing();
