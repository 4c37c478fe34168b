#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
#
# Accounts that may not: nobody's, deleted, deactivated, both, and those that are newer than the
# token; with every method, and that a refusal leaves everything as it was. And subjects that are
# no email.
use strict;
use warnings;
use Test::More;
use UserProfile::Contracts;
use UserProfile::Test;

# Tables of other subjects; the configuration looks at them when a child starts.
for my $type (['by_uuid', 'uuid'], ['by_number', 'bigint']) {
    my ($table, $column) = @$type;
    db()->do("CREATE TABLE $table (who $column PRIMARY KEY, name text)");
    db()->do("GRANT ALL ON $table TO " . servers->{role}) unless embedded;
}

sub other_table {
    my ($table, $type) = @_;

    return <<"CONF";
        UserProfileTable $table
        UserProfileKeyColumn who
        UserProfileSubjectColumn who $type
        UserProfileField who $type
        UserProfileField name string writable
        UserProfileMethods GET PATCH
        UserProfileUnknownUser 404
        UserProfileTokenKey HS256 "@{[servers->{keys}]}/hs256.key"
CONF
}
my $contracts = contracts(
    unknown404 => 'UserProfileUnknownUser 404',
    since => 'UserProfileStateColumns deleted=deleted_at active=is_active updated=updated_at since=created_at',
    byuuid => other_table('by_uuid', 'uuid'),
    bynumber => other_table('by_number', 'integer'),
);
my $PICTURE = 'https://pictures.example.com/old.png';

# All that a refused request of this user, with this jti, could change: the row, the journal, Redis
# and the storage.
sub everything {
    my ($user, $jti) = @_;

    return {
        row => user_row($user->{id}),
        journal => db()->selectrow_array('SELECT count(*) FROM userprofile_journal'),
        session => redis('EXISTS', "refresh_token:$user->{email}:one"),
        revoked => redis('EXISTS', "blacklisted_access_token:$jti"),
        requests => storage('requests')->{count},
    };
}

# One request of each kind that reads or writes.
my %requests = (
    GET => sub { me('GET', @_) },
    PATCH => sub { me('PATCH', @_, json => {full_name => 'Changed'}) },
    'PATCH with nothing' => sub { me('PATCH', @_, json => {}) },
    'PATCH with an avatar' => sub {
        me('PATCH', @_, form => [{name => 'full_name', body => 'Changed'},
            {name => 'avatar', filename => 'a.png', body => png()}]);
    },
    DELETE => sub { me('DELETE', @_) },
    'DELETE for good' => sub { request('DELETE', "$ME?hard=true", @_) },
    'PUT of the avatar' => sub { request('PUT', "$ME/avatar", @_, type => 'image/png', body => png()) },
    'POST of the avatar' => sub {
        request('POST', "$ME/avatar", @_, form => [{name => 'avatar', filename => 'a', body => jpeg()}]);
    },
    'DELETE of the avatar' => sub { request('DELETE', "$ME/avatar", @_) },
);

sub all_refused {
    my ($user, $claims, $status, $code, $who, @where) = @_;
    my $key = "refresh_token:$user->{email}:one";
    my $jti = "account-$$";
    my $token = token(sub => $user->{email}, jti => $jti, %$claims);

    redis('SET', $key, '1');
    my $before = everything($user, $jti);
    for my $name (sort keys %requests) {
        is_error($requests{$name}->(token => $token, @where), $status, $code, "$who: $name");
        is_deeply(everything($user, $jti), $before, "$who: $name changes nothing");
    }
    my $head = me('HEAD', token => $token, @where);
    is($head->code, $status, "$who: HEAD");
    is($head->header('ETag'), undef, "$who: HEAD tells no ETag");
    redis('DEL', $key);
    return;
}

# --- The states -----------------------------------------------------------------------------------

my $nobody = {id => 0, email => "nobody-$$\@example.com"};
all_refused($nobody, {}, 401, 'INVALID_CREDENTIALS', 'nobody');
all_refused(user_new(deleted_at => '2026-01-01', is_active => 0, avatar_url => $PICTURE), {}, 403,
    'ACCOUNT_DELETED', 'deleted');
all_refused(user_new(deleted_at => '2026-01-01', is_active => 1, avatar_url => $PICTURE), {}, 403,
    'ACCOUNT_DELETED', 'deleted, and active still');
all_refused(user_new(deleted_at => '2126-01-01'), {}, 403, 'ACCOUNT_DELETED', 'deleted at a time to come');
all_refused(user_new(is_active => 0, avatar_url => $PICTURE), {}, 403, 'ACCOUNT_DEACTIVATED', 'deactivated');

{
    my $user = user_new(is_verified => 0);
    is_profile(me('GET', token => token(sub => $user->{email})), {is_verified => JSON::PP::false()},
        'not verified is no reason to be refused');
    is_error(me('GET', token => token(sub => $nobody->{email}), $contracts->at('unknown404')), 404, 'NOT_FOUND',
        'nobody, where the configuration has it so');
    is_error(me('PATCH', token => token(sub => $nobody->{email}), $contracts->at('unknown404'),
        json => {full_name => 'x'}), 404, 'NOT_FOUND', 'nobody, PATCH');
    is_error(request('GET', '/guarded/', token => token(sub => $nobody->{email}), $contracts->at('unknown404')), 401,
        'INVALID_CREDENTIALS', 'nobody, at another place: that is there');

    my $deleted = user_new(deleted_at => '2026-01-01', is_active => 0);
    my $token = token(sub => $deleted->{email});
    db()->do('UPDATE users SET deleted_at = NULL WHERE id = ?', undef, $deleted->{id});
    is_error(me('GET', token => $token), 403, 'ACCOUNT_DEACTIVATED', 'deleted no more, but deactivated');
    db()->do('UPDATE users SET is_active = true WHERE id = ?', undef, $deleted->{id});
    is_profile(me('GET', token => $token), {id => $deleted->{id}}, 'restored: the same token is good again');

    my $twice = user_new();
    $token = token(sub => $twice->{email}, jti => "d-$$");
    is(me('DELETE', token => $token)->code, 200, 'an account is deleted');
    is_error(me('GET', token => $token), 401, 'TOKEN_REVOKED', 'then its token is revoked');
    is_error(me('GET', token => token(sub => $twice->{email})), 403, 'ACCOUNT_DELETED',
        'and another token of it meets a deleted account');
    redis('DEL', "blacklisted_access_token:d-$$");
}

# --- since= : no token is older than its account --------------------------------------------------

{
    my $created = 1_767_225_600;    # 2026-01-01T00:00:00Z
    my @at = $contracts->at('since');
    my $user = user_new(created_at => '2026-01-01T00:00:00.999999Z', full_name => 'A', avatar_url => $PICTURE);
    my $get = sub { me('GET', @at, token => token(sub => $user->{email}, @_)) };

    all_refused($user, {iat => $created - 1}, 401, 'INVALID_CREDENTIALS', 'a token older than the account', @at);
    all_refused($user, {}, 401, 'INVALID_CREDENTIALS', 'a token without iat', @at);
    is_error($get->(iat => $_), 401, 'INVALID_CREDENTIALS', "iat $_")
        for 0, 1, $created - 86_400;
    is_profile($get->(iat => $created), {id => $user->{id}}, 'since: the same second is accepted');
    is_profile($get->(iat => $_), {id => $user->{id}}, "since: iat $_ is accepted")
        for $created + 1, time, time + 3600, 253402300800, 9223372036854775807;
    is_error($get->(iat => $_), 401, 'INVALID_CREDENTIALS', "since: iat $_ is no second")
        for -1, "$created", [], 9223372036854775807 * 2;
    is_profile(me('PATCH', @at, token => token(sub => $user->{email}, iat => $created), json =>
        {full_name => 'B'}), {full_name => 'B'}, 'since: PATCH in the same second');
    is_profile(request('DELETE', "$ME/avatar", @at, token => token(sub => $user->{email}, iat => $created)),
        {avatar_url => undef}, 'since: the avatar');
    is_error(request('GET', '/guarded/', @at, token => token(sub => $user->{email}, iat => $created - 1)), 401,
        'INVALID_CREDENTIALS', 'since: holds at a guarded place');
    is(request('GET', '/guarded/', @at, token => token(sub => $user->{email}, iat => $created))->code, 200,
        'since: and lets in there');
    db()->do("UPDATE users SET created_at = '2026-01-01T00:00:01Z' WHERE id = ?", undef, $user->{id});
    is_error($get->(iat => $created), 401, 'INVALID_CREDENTIALS', 'since: the address of a new account');

    my $deleted = user_new(created_at => '2026-01-01T00:00:00Z', deleted_at => '2026-01-02', is_active => 0);
    is_error(me('GET', @at, token => token(sub => $deleted->{email}, iat => $created - 1)), 401,
        'INVALID_CREDENTIALS', 'since: an old token does not learn that the account is deleted');
    is_error(me('GET', @at, token => token(sub => $deleted->{email}, iat => $created)), 403,
        'ACCOUNT_DELETED', 'since: one of its own does');
    is(me('DELETE', @at, token => token(sub => $user->{email}, iat => $created + 1))->code, 200,
        'since: DELETE');
    ok(user_row($user->{id})->{deleted_at}, 'since: and it is deleted');
    is_profile(me('GET', token => token(sub => user_new()->{email})), {}, 'since: off as shipped');
}

my $log = $contracts->httpd->{error_log};

# --- Subjects that are no email -------------------------------------------------------------------

{
    my @at = $contracts->at('byuuid');
    my $uuid = '0b8f2c5e-7d1a-4c3b-9e2f-a1b2c3d4e5f6';
    my %of = (fields => ['who', 'name']);
    my $mark = log_mark($log);

    db()->do('INSERT INTO by_uuid VALUES (?, ?)', undef, $uuid, 'Ada');
    is_profile(me('GET', @at, token => token(sub => $uuid)), {who => $uuid, name => 'Ada'},
        'a uuid', %of);
    is_profile(me('GET', @at, token => token(sub => uc $uuid)), {who => $uuid}, 'a uuid in upper case', %of);
    is_profile(me('PATCH', @at, token => token(sub => $uuid), json => {name => 'B'}), {name => 'B'},
        'a uuid: PATCH', %of);
    is_error(me('GET', @at, token => token(sub => '0b8f2c5e-7d1a-4c3b-9e2f-a1b2c3d4e5f7')), 404, 'NOT_FOUND',
        "a uuid that is nobody's");
    for my $sub ('ada@example.com', 'x', "$uuid ", " $uuid", "{$uuid}", $uuid =~ tr/-//dr, "$uuid-",
        $uuid =~ s/f6\z//r, $uuid =~ s/0b/0g/r, "$uuid'", "urn:uuid:$uuid", $uuid =~ s/-/\x{2010}/gr) {
        my $name = $sub =~ s/[^ -~]/?/gr;
        is_error(me($_, @at, token => token(sub => $sub), json => {name => 'C'}), 401, 'INVALID_CREDENTIALS',
            "no uuid: '$name', $_") for qw(GET PATCH);
    }
    is(db()->selectrow_array('SELECT name FROM by_uuid'), 'B', 'no uuid: nothing has changed');
    log_unlike($mark, qr/SQLSTATE/, 'no uuid: and the database has not been bothered', $log);
}
{
    my @at = $contracts->at('bynumber');
    my %of = (fields => ['who', 'name']);
    my $mark = log_mark($log);
    my @numbers = ('1', '0', '-1', '9223372036854775807', '-9223372036854775808');

    db()->do('INSERT INTO by_number VALUES (?, ?)', undef, $_, "number $_") for @numbers;
    is_profile(me('GET', @at, token => token(sub => $_)), {name => "number $_"}, "a number: $_", %of)
        for @numbers;
    is_error(me('GET', @at, token => token(sub => '77')), 404, 'NOT_FOUND', "a number that is nobody's");
    for my $sub ('x', '1x', '1.0', '1e0', '+1', ' 1', '1 ', '0x1', '--1', '-', '1 OR 1=1', 'NULL',
        '9223372036854775808', '-9223372036854775809', '99999999999999999999', "\x{661}") {
        my $name = $sub =~ s/[^ -~]/?/gr;
        is_error(me('GET', @at, token => token(sub => $sub)), 401, 'INVALID_CREDENTIALS', "no number: '$name'");
    }
    is_error(me('GET', @at, token => token_bytes('{"alg":"HS256"}',
        '{"sub":1,"jti":"n","type":"access","exp":4102444800}')), 401, 'INVALID_CREDENTIALS',
        'a number, but not as a string');
    log_unlike($mark, qr/SQLSTATE/, 'no number: and the database has not been bothered', $log);
}
db()->do("DROP TABLE $_") for qw(by_uuid by_number);

# --- Emails as they come --------------------------------------------------------------------------

for my $email ("o'brien-$$\@example.com", "a*b?[c]\\-$$\@example.com", "\"quoted $$\"\@example.com",
    "\x{e9}t\x{e9}-$$\@ex\x{e4}mple.com", "%s%n-$$\@example.com", "-- $$", 'x' x 243 . '@example.com', '{}',
    'NULL', '\\') {
    my $user = user_new(email => $email, full_name => 'Here');
    my $name = $email =~ s/[^ -~]/?/gr;

    is_profile(me('GET', token => token(sub => $email)), {id => $user->{id}, email => $email},
        'email: ' . substr $name, 0, 40);
    is_profile(me('PATCH', token => token(sub => $email), json => {full_name => 'There'}),
        {full_name => 'There'}, 'email, PATCH: ' . substr $name, 0, 40);
    db()->do('DELETE FROM users WHERE id = ?', undef, $user->{id});
}
is_error(me('GET', token => token(sub => 'x' x 1024)), 401, 'INVALID_CREDENTIALS', 'sub: longer than the column');
is_error(me('GET', token => token(sub => 'x' x 1025)), 401, 'INVALID_CREDENTIALS', 'sub: longer than any');

done_testing();
