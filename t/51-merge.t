#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
#
# Main server and virtual hosts: what a virtual host does not say it has from the main server, what
# it says is its own, defaults included; one that names a table begins a contract of its own; and
# contracts beside one another, each with its database and keys, know nothing of each other.
use strict;
use warnings;
use IO::Socket::INET ();
use Test::More;
use Time::HiRes qw(time);
use UserProfile::Test;

my $servers = servers();
my $keys = $servers->{keys};
my $top = scratch() . '/top';
my $avatars = scratch() . "/merge-avatars-$$";
mkdir $avatars or die "$avatars: $!\n";

# A token store that takes connections and never answers.
my $silent = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 64) or die "listen: $!\n";
my $silent_url = 'redis://127.0.0.1:' . $silent->sockport;

# Virtual hosts by name, all on one port; each is NAME.example.
sub vhosts {
    my ($port, @vhosts) = @_;
    my $conf = "Listen 127.0.0.1:$port\n";

    while (my ($name, $text) = splice @vhosts, 0, 2) {
        $conf .= "<VirtualHost 127.0.0.1:$port>\nServerName $name.example\n$text</VirtualHost>\n";
    }
    return $conf;
}

# A request to the main server ('') or one of the virtual hosts.
my ($node, $port);

sub at {
    my ($name, $method, %option) = @_;
    my $path = delete $option{path} // '/me';

    return request($method, $path, port => $node->{port}, %option) unless $name;
    return request($method, $path, port => $port, %option,
        headers => [Host => "$name.example", @{$option{headers} // []}]);
}

# --- A main server that says all, by no default ---------------------------------------------------

my $dsn = $servers->dsn('fluentmeet');
my $MAIN = <<"CONF";
DBDriver pgsql
DBDParams "$dsn"
DBDMax 4
UserProfileConnections 4
UserProfileTable users
UserProfileKeyColumn id
UserProfileSubjectColumn email
UserProfileStateColumns deleted=deleted_at active=is_active updated=updated_at
UserProfileCondition speaking_language en
UserProfileField id integer
UserProfileField name string column=full_name writable nullable
UserProfileField picture avatar column=avatar_url nullable
UserProfileMethods GET PATCH DELETE avatar
UserProfileUnknownUser 404
UserProfileUnknownFields refuse
UserProfileErrors problem https://example.com/problems/
UserProfileEnvelope data status=ok
UserProfileErase participants user_id
UserProfileTokenKey HS256 "$keys/hs256.key"
UserProfileTokenClaim aud app
UserProfileTokenLeeway 60
UserProfileRolesClaim groups
UserProfileRoleAlias owner admin
UserProfileTokenStore "redis+unix://$servers->{redis_socket}" blacklist=bl: sessions=rt:
UserProfileCookie session "Path=/"
UserProfileAvatarStorage "file://$avatars?url=/avatars"
UserProfileAvatarDimensions 64x64
UserProfileTimeout tokens=5s
<Location "/me">
    UserProfile On
    AuthType Bearer
    AuthName "main"
    Require valid-user
    AuthzSendForbiddenOnFailure On
</Location>
<Location "/admin">
    AuthType Bearer
    AuthName "main"
    Require userprofile-role admin
    AuthzSendForbiddenOnFailure On
</Location>
CONF

# Who has another storage or token store needs another journal; here it may not even be there.
my ($STORE, $PREFIX, $STORAGE) = map { "UserProfileJournal journal_of_$_\n" } qw(store prefix storage);

my %VHOST = (
    silent => '',
    fields => "UserProfileField id integer\nUserProfileAvatarStorage none\nUserProfileMethods GET\n",
    state => "UserProfileStateColumns none\nUserProfileMethods GET\n",
    condition => "UserProfileCondition none\n",
    methods => "UserProfileMethods GET\n",
    user => "UserProfileUnknownUser 401\n",
    unknown => "UserProfileUnknownFields ignore\n",
    errors => "UserProfileErrors json\n",
    types => "UserProfileErrors problem\n",
    envelope => "UserProfileEnvelope none\n",
    erase => "UserProfileErase none\n",
    key => "UserProfileTokenKey HS512 \"$keys/hs512.key\"\n",
    claim => "UserProfileTokenClaim none\n",
    claims => "UserProfileTokenClaim iss us\n",
    leeway => "UserProfileTokenLeeway 0\n",
    roles => "UserProfileRolesClaim roles\n",
    alias => "UserProfileRoleAlias none\n",
    store => "UserProfileTokenStore none\nUserProfileMethods GET\n$STORE",
    prefix => "UserProfileTokenStore \"redis+unix://$servers->{redis_socket}\"\n$PREFIX",
    cookie => "UserProfileCookie none\n",
    storage => "UserProfileAvatarStorage \"cloudinary://4711:secret\@vhost\"\n$STORAGE",
    journal => "UserProfileJournal no_such_journal\n",
    small => "UserProfileAvatarDimensions 64x63\n",
    large => "UserProfileAvatarDimensions 8192x8192\n",
    off => "<Location \"/me\">\nUserProfile Off\n</Location>\n",
);
$port = free_port();
$node = node(conf => $MAIN . vhosts($port, map { $_ => $VHOST{$_} } sort keys %VHOST))->start;

my $user = user_new(full_name => 'Ada');
my $stranger = user_new(speaking_language => 'fr');
my $sleeper = user_new(is_active => 0);
my @aud = (aud => 'app', type => undef);
my $token = token(sub => $user->{email}, @aud);
my $nobody = token(sub => 'nobody@example.com', @aud);
my $late = token(sub => $user->{email}, @aud, exp => int(time) - 30);

sub data {
    return json($_[0])->{data} // {};
}

# What the main server answers, a virtual host that says nothing answers too, and so do all others
# in all that they do not say.
sub inherited {
    my ($name) = @_;
    my $who = $name ? "the virtual host $name" : 'the main server';

    is(data(at($name, 'GET', token => $token))->{name}, 'Ada', "$who: field, key, claim, envelope");
    is(at($name, 'GET', token => $late)->code, 200, "$who: leeway");
    is_error(at($name, 'GET', token => $nobody), 404, 'NOT_FOUND', "$who: an unknown user");
    is_error(at($name, 'GET', token => token(sub => $stranger->{email}, @aud)), 404, 'NOT_FOUND',
        "$who: the condition");
    is_error(at($name, 'GET', token => token(sub => $sleeper->{email}, @aud)), 403,
        'ACCOUNT_DEACTIVATED', "$who: the state");
    my $refused = at($name, 'PATCH', token => $token, json => {email => 'x'});
    is_error($refused, 422, 'VALIDATION_ERROR', "$who: unknown fields and errors",
        fields => {email => 'VALIDATION_ERROR'});
    is(json($refused)->{type}, 'https://example.com/problems/validation-error',
        "$who: the problem's type");
    is(at($name, 'GET', path => '/admin', token => token(sub => $user->{email}, @aud,
        groups => ['owner']))->code, 404, "$who: the claim and the alias of roles");
    return;
}
for my $name ('', 'silent', 'cookie') { inherited($name) }

# --- What a virtual host says itself --------------------------------------------------------------

is(at('fields', 'GET', token => $token)->content, qq({"data":{"id":$user->{id}},"status":"ok"}),
    'fields: the list is its own');
is(at('state', 'GET', token => token(sub => $sleeper->{email}, @aud))->code, 200,
    'StateColumns none: nobody is deactivated');
is(at('condition', 'GET', token => token(sub => $stranger->{email}, @aud))->code, 200,
    'Condition none: every row is a user');
is_error(at('methods', 'PATCH', token => $token, json => {}), 405, 'METHOD_NOT_ALLOWED',
    'Methods: its own');
is_error(at('user', 'GET', token => $nobody), 401, 'INVALID_CREDENTIALS',
    'UnknownUser: the default, said explicitly');
is(at('unknown', 'PATCH', token => $token, json => {email => 'x'})->code, 200,
    'UnknownFields: the default, said explicitly');
my $refused = at('errors', 'PATCH', token => $token, json => {name => 1});
is_error($refused, 400, 'VALIDATION_ERROR', 'Errors: the default, said explicitly');
is($refused->header('Content-Type'), 'application/json', '... in its format');
is(json(at('types', 'GET', token => $nobody))->{type}, '/docs/problems#not-found',
    'Errors problem: the default of types');
is(json(at('envelope', 'GET', token => $token))->{name}, 'Ada', 'Envelope none');
my $other = token(sub => $user->{email}, @aud, -alg => 'HS512');
is(at('key', 'GET', token => $other)->code, 200, 'TokenKey: its own key');
is_error(at('key', 'GET', token => $token), 401, 'INVALID_CREDENTIALS', "... and not the main server's");
is_error(at('', 'GET', token => $other), 401, 'INVALID_CREDENTIALS', '... which does not take its');
is(at('claim', 'GET', token => token(sub => $user->{email}, type => undef))->code, 200,
    'TokenClaim none: no claim is required');
is(at('claims', 'GET', token => token(sub => $user->{email}, iss => 'us'))->code, 200,
    "TokenClaim: its own take the place of the main server's");
is_error(at('claims', 'GET', token => $token), 401, 'INVALID_CREDENTIALS', '... and are required');
is_error(at('leeway', 'GET', token => $late), 401, 'INVALID_CREDENTIALS',
    'TokenLeeway: the default, said explicitly');
my %as = map { $_ => token(sub => $user->{email}, @aud, $_ => ['admin']) } qw(roles groups);
is(at('roles', 'GET', path => '/admin', token => $as{roles})->code, 404,
    'RolesClaim: the default, said explicitly');
is_error(at('roles', 'GET', path => '/admin', token => $as{groups}), 403, 'INSUFFICIENT_ROLE',
    "... and not the main server's");
is_error(at('alias', 'GET', path => '/admin',
    token => token(sub => $user->{email}, @aud, groups => ['owner'])), 403, 'INSUFFICIENT_ROLE',
    'RoleAlias none');
is(at('off', 'GET', token => $token)->code, 404, 'UserProfile Off: the resource is not there');

my $wide = png() =~ s/IHDR\K..../pack 'N', 65/ser;
my $picture = sub { at($_[0], 'PUT', path => '/me/avatar', token => $token, type => 'image/png', body => $_[1]) };
is($picture->($_, png())->code, 200, "AvatarDimensions: 64 x 64 pixels ($_)") for '', 'silent', 'cookie';
is_error($picture->($_, $wide), 413, 'FILE_TOO_LARGE', "... and no more ($_)") for '', 'silent', 'cookie';
is_error($picture->('small', png()), 413, 'FILE_TOO_LARGE', 'AvatarDimensions: its own, smaller');
is($picture->('large', $wide)->code, 200, 'AvatarDimensions: the default, said explicitly');

my %jti = map { $_ => "merge-$$-$_" } qw(bl blacklisted_access_token);
redis('SETEX', "$_:$jti{$_}", 60, 1) for keys %jti;
my %revoked = map { $_ => token(sub => $user->{email}, @aud, jti => $jti{$_}) } keys %jti;
is_error(at('', 'GET', token => $revoked{bl}), 401, 'TOKEN_REVOKED', 'the main server has its prefix');
is(at('', 'GET', token => $revoked{blacklisted_access_token})->code, 200, '... and no other');
is_error(at('prefix', 'GET', token => $revoked{blacklisted_access_token}), 401, 'TOKEN_REVOKED',
    'TokenStore: with the default prefix, as it is said anew');
is(at('prefix', 'GET', token => $revoked{bl})->code, 200, "... and not the main server's");
is(at('store', 'GET', token => $revoked{bl})->code, 200, 'TokenStore none: nobody is asked');

my %gone = map { $_ => user_new() } '', qw(cookie erase journal);
insert(fluentmeet => participants => user_id => $_->{id}) for @gone{'', 'erase'};
my %deleted = map {
    $_ => at($_, 'DELETE', path => '/me?hard=true', token => token(sub => $gone{$_}{email}, @aud))
} keys %gone;
is($deleted{''}->header('Set-Cookie'), 'session=; Max-Age=0; Path=/', 'the main server has a cookie');
is($deleted{cookie}->code, 200, 'Cookie none: the account is deleted');
is($deleted{cookie}->header('Set-Cookie'), undef, '... and no cookie is cleared');
is($deleted{''}->code, 200, 'the main server erases what refers to the user');
ok(!user_row($gone{''}{id}), '... and the user');
isnt($deleted{erase}->code, 200, 'Erase none: what refers to the user stays, and so the user must');
ok(user_row($gone{erase}{id}), '... who does');
isnt($deleted{journal}->code, 200, 'Journal: its own, which is not there');
ok(user_row($gone{journal}{id}), '... so that nothing is changed');

# --- How many contracts there are -----------------------------------------------------------------

my @lines = grep { /userprofile \d\S*: / } split /\n/, slurp($node->{error_log});
my @own = grep { !/^(?:silent|off)$/ } sort keys %VHOST;
is(scalar(grep { /: 127\.0\.0\.1 serves/ } @lines), 1, 'the log has a line for the main server');
is("@{[sort map { /: (\w+)\.example serves/ } @lines]}", "@own",
    '... and for each contract of a virtual host; those that say nothing share that of the main server');
like((grep { /: storage\.example/ } @lines)[0], qr{avatars: cloudinary://\*\*\*:\*\*\*\@vhost},
    "AvatarStorage: another kind takes the place of the main server's");
like((grep { /: silent|: cookie\.example/ } @lines)[0], qr{avatars: file://\Q$avatars},
    '... which the others have');

# --- Graceful restart -----------------------------------------------------------------------------

my @codes;
my $generations = () = slurp($node->{error_log}) =~ /resuming normal operations/g;
for my $round (1 .. 3) {
    $node->signal('USR1');
    push @codes, map { at($_, 'GET', token => $token)->code } '', 'silent', 'unknown', 'cookie';
    wait_for(10, sub {
        push @codes, at('silent', 'GET', token => $token)->code;
        $generations + $round <= (() = slurp($node->{error_log}) =~ /resuming normal operations/g);
    }) or fail('a graceful restart comes to its end');
}
is_deeply([grep { $_ != 200 } @codes], [], 'graceful restarts: every request is served')
    or diag("@codes");
inherited('silent');

# A configuration that is wrong does not end a server that runs: apachectl asks configtest first.
$node->{conf} .= "UserProfileTable\n";
$node->write;
ok(!eval { $node->check }, 'a wrong configuration is seen before the server is told of it');
is(at('', 'GET', token => $token)->code, 200, '... which runs on');
$node->stop;

# --- A store that is inherited, with a time of its own --------------------------------------------

# The last to be finished is the virtual host: what it says of times must not reach the main server.
$port = free_port();
$node = node(conf => $MAIN =~ s/^UserProfileTokenStore .*/UserProfileTokenStore $silent_url/mr
        =~ s/tokens=5s/tokens=3s/r
        . vhosts($port, quick => "UserProfileTimeout tokens=50ms\n"))->start;
my %took;
for my $name ('quick', '') {
    my $start = time;
    is_error(at($name, 'GET', token => $token), 503, 'SERVICE_UNAVAILABLE',
        "'$name': a token store that hangs");
    $took{$name} = time - $start;
}
cmp_ok($took{quick} + 0.7, '<', $took{''}, 'Timeout: each waits as long as it says itself');
$node->stop;

# --- Contracts beside one another -----------------------------------------------------------------

# One configuration file after the other, each with its own surroundings.
sub shipped {
    my ($name, $alg) = @_;

    return <<"CONF";
Define USERPROFILE_DB "@{[$servers->dsn($name)]}"
Define USERPROFILE_KEY "$keys/@{[lc $alg]}.key"
Include "$top/conf/$name.conf"
CONF
}

my $ada = user_new(full_name => 'Ada');
my $eve = insert(killrvideo => users => firstname => 'Eve', email => $ada->{email});
my %of = (
    fluentmeet => token(sub => $ada->{email}, -key => slurp("$keys/hs512.key") =~ s/\n\z//r),
    killrvideo => token(sub => $eve->{userid}, jti => undef, type => undef, roles => ['viewer']),
);
my @KILLRVIDEO = qw(userId firstname lastname email account_status created_date last_login_date);

# A token of one that is otherwise right for the other: what keeps it out is its key.
my %foreign = (
    fluentmeet => token(sub => $ada->{email}),
    killrvideo => token(sub => $eve->{userid}, jti => undef, type => undef, roles => ['viewer'],
        -key => slurp("$keys/hs512.key") =~ s/\n\z//r),
);

my %LAYOUT = (
    'both in virtual hosts' => [
        fluentmeet => 'fluentmeet', killrvideo => 'killrvideo',
        sub { vhosts($_[0], fluentmeet => shipped('fluentmeet', 'HS512'),
            killrvideo => shipped('killrvideo', 'HS256')) }],
    'the first in the main server, the second in a virtual host' => [
        fluentmeet => '', killrvideo => 'killrvideo',
        sub { shipped('fluentmeet', 'HS512') . vhosts($_[0], killrvideo => shipped('killrvideo', 'HS256')) }],
    'the second in the main server, the first in a virtual host' => [
        fluentmeet => 'fluentmeet', killrvideo => '',
        sub { shipped('killrvideo', 'HS256') . vhosts($_[0], fluentmeet => shipped('fluentmeet', 'HS512')) }],
);
for my $layout (sort keys %LAYOUT) {
    my ($first, $fluentmeet, $second, $killrvideo, $conf) = @{$LAYOUT{$layout}};
    my @me = (path => $ME);

    note($layout);
    $port = free_port();
    $node = node(conf => $conf->($port))->start;
    is_profile(at($fluentmeet, 'GET', @me, token => $of{fluentmeet}), {full_name => 'Ada'},
        "$layout: the first contract");
    is_profile(at($killrvideo, 'GET', @me, token => $of{killrvideo}), {firstname => 'Eve'},
        "$layout: the second", fields => \@KILLRVIDEO);
    is_error(at($fluentmeet, 'GET', @me, token => $foreign{fluentmeet}), 401, 'INVALID_CREDENTIALS',
        "$layout: the first does not take the second's signature");
    is_error(at($killrvideo, 'GET', @me, token => $foreign{killrvideo}), 401, 'INVALID_CREDENTIALS',
        "$layout: nor the second the first's");
    is_error(at($fluentmeet, 'PUT', @me, token => $of{fluentmeet}, json => {}), 405,
        'METHOD_NOT_ALLOWED', "$layout: the methods of the first");
    is_error(at($killrvideo, 'DELETE', @me, token => $of{killrvideo}), 405, 'METHOD_NOT_ALLOWED',
        "$layout: the methods of the second");
    is(at($killrvideo, 'GET', @me, token => $of{killrvideo})->header('Set-Cookie'), undef,
        "$layout: no cookie of the first");
    $node->stop;
}

# --- A virtual host with the same contract, and a database of its own -----------------------------

my $twin = "twin_$$";
$servers->add_database($twin, 'sql/fluentmeet.sql');
my $bob = insert($twin, 'users', email => $ada->{email}, full_name => 'Bob');
$port = free_port();
$node = node(conf => qq(Include "$top/conf/fluentmeet.conf"\n)
    . vhosts($port, twin => "DBDParams \"@{[$servers->dsn($twin)]}\"\n"))->start;
my $both = token(sub => $ada->{email});
is_profile(at('', 'GET', path => $ME, token => $both), {full_name => 'Ada'},
    'the main server asks its database');
is_profile(at('twin', 'GET', path => $ME, token => $both), {full_name => 'Bob'},
    'a virtual host that says nothing but DBDParams asks its own');
is(at('twin', 'PATCH', path => $ME, token => $both, json => {full_name => 'Bobby'})->code, 200,
    '... and writes there');
is(user_row($ada->{id})->{full_name}, 'Ada', '... and nowhere else');

done_testing();
