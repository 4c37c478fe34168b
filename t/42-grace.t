#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
#
# UserProfileGracePeriod: a soft-deleted account is erased when the period is over, with all that goes
# with it, by any number of nodes, also while the storage is away or processes are killed; one that is
# restored in time is kept, and so is every other. By default none is erased.
use strict;
use warnings;
use Test::More;
use Time::HiRes qw(sleep);
use UserProfile::Avatar;
use UserProfile::Test;

my $top = scratch() . '/top';

# Looked for every second, which is a hundredth of the period.
my $GRACE = 100;
my $LINE = "UserProfileGracePeriod ${GRACE}s\n";
my %SWEEP = (USERPROFILE_SWEEP => 1);

# The longest that a busy machine may take to come round to it.
my $SOON = 30;

# From now on these people were deleted so many seconds ago.
sub set_deleted {
    my ($seconds, @people) = @_;

    db()->do('UPDATE users SET is_active = false, deleted_at = now() - make_interval(secs => ?) WHERE id = ANY (?)',
        undef, $seconds, [map { $_->{id} } @people]);
    return;
}

# A user who was deleted so many seconds ago.
sub deleted {
    my ($seconds, %column) = @_;
    my $person = person(%column);

    set_deleted($seconds, $person);
    return $person;
}

sub is_there {
    my ($person) = @_;

    return defined user_row($person->{id});
}

sub is_erased {
    my ($person, $name) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;

    return ok(wait_for($SOON, sub { !is_there($person) }), $name);
}

# Returns when they have been looked for once more, from the beginning to the end.
sub one_round {
    my $marker = deleted($GRACE + 50);

    return wait_for($SOON, sub { !is_there($marker) }) || die "nobody looks for deleted accounts\n";
}

sub url_of {
    my ($asset) = @_;

    return 'https://res.cloudinary.com/' . servers->{storage_cloud} . "/image/upload/v1/$asset.png";
}

# A user with a picture in the storage.
sub with_avatar {
    my $person = person();

    is(avatar('PUT', $person, png())->code, 200, 'an avatar before');
    $person->{asset} = asset_of(user_row($person->{id})->{avatar_url});
    return $person;
}

sub is_stored {
    my ($person) = @_;

    return scalar grep { $_ eq $person->{asset} } assets();
}

sub swept {
    my ($name) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;

    return ok(wait_for($SOON, sub { !journal() }), "$name: the journal is empty") || diag explain [journal()];
}

# How many accounts the logs of these nodes say were erased since their marks.
sub counted {
    my (%mark) = @_;
    my $sum = 0;

    for my $log (keys %mark) {
        my $said = log_since($mark{$log}, $log);
        $sum += $1 while $said =~ /\[userprofile:notice\].*grace period is over: (\d+)$/mg;
    }
    return $sum;
}

# What tests before this one have left is not ours to count.
for my $table (qw(verification_tokens password_reset_tokens participants)) {
    db()->do("DELETE FROM $table WHERE user_id IN (SELECT id FROM users WHERE deleted_at IS NOT NULL)");
}
db()->do('DELETE FROM users WHERE deleted_at IS NOT NULL');
storage('reset');
journal_clear();

my $node = node(defines => {%SWEEP}, more => $LINE)->start;

subtest 'erased after, kept before' => sub {
    my $mark = log_mark($node->{error_log});
    my ($early, $active) = (deleted($GRACE - 50), person());
    my $inactive = person(is_active => 'f');
    my $late = with_avatar();
    my @tables = qw(verification_tokens password_reset_tokens participants);

    for my $person ($early, $active, $late) {
        insert('fluentmeet', $_, user_id => $person->{id}) for @tables, @tables;
        redis('SET', "refresh_token:$person->{email}:$_", 1) for 1, 2;
    }
    set_deleted($GRACE + 1, $late);
    is_erased($late, 'an account is erased when its grace period is over');
    for my $table (@tables) {
        my $rows = sub { db()->selectrow_array("SELECT count(*) FROM $table WHERE user_id = ?", undef, $_[0]{id}) };
        is($rows->($late), 0, "its rows of $table are, too");
        is($rows->($early), 2, 'those of others are not');
    }
    swept('erased');
    ok(!is_stored($late), 'its picture is deleted');
    is(redis('EXISTS', map { "refresh_token:$late->{email}:$_" } 1, 2), 0, 'its sessions are over');
    is(redis('EXISTS', map { "refresh_token:$active->{email}:$_" } 1, 2), 2, 'those of others are not');

    one_round();
    ok(is_there($early), 'an account whose grace period is not over is kept');
    is_error(me('GET', token => $early->{token}), 403, 'ACCOUNT_DELETED', 'as a deleted one');
    ok(is_there($active), 'and so is one that is not deleted');
    ok(is_there($inactive), 'or only deactivated');
    ok(wait_for(5, sub { counted($node->{error_log} => $mark) == 2 }), 'the log has said how many were erased');
    log_unlike($mark, qr/\[userprofile:(?:error|warn)/, 'and nothing is wrong', $node->{error_log});

    my $again = person(email => $late->{email});
    is_profile(me('GET', token => $again->{token}), {id => $again->{id}}, 'the address is free');
    db()->do("DELETE FROM $_") for @tables;
    db()->do('DELETE FROM users WHERE id = ?', undef, $early->{id});
};

subtest 'restored in time' => sub {
    my $person = deleted($GRACE - 1, full_name => 'Ada');
    my $admin = db()->clone;

    # The administrator is at it when the grace period ends.
    $admin->begin_work;
    $admin->do('SELECT userprofile_restore(?)', undef, $person->{email});
    ok(wait_for($SOON, sub {
        db()->selectrow_array('SELECT deleted_at < now() - make_interval(secs => ?) FROM users WHERE id = ?', undef,
            $GRACE, $person->{id});
    }), 'the grace period is over while somebody restores the account');
    one_round() for 1, 2;
    ok(is_there($person), 'it is left alone meanwhile');
    $admin->commit;
    $admin->disconnect;
    one_round();
    is_profile(me('GET', token => $person->{token}), {full_name => 'Ada'}, 'and is kept');
};

subtest 'an account that cannot be erased' => sub {
    db()->do('CREATE TABLE invoices (user_id bigint REFERENCES users (id))');
    my @debtors = map { person() } 1 .. 120;
    my $mark = log_mark($node->{error_log});
    insert('fluentmeet', 'invoices', user_id => $_->{id}) for @debtors;
    set_deleted($GRACE + 200, @debtors);
    my $person = deleted($GRACE + 100);

    is_erased($person, 'does not keep the one after it, nor do 120');
    is(scalar(grep { is_there($_) } @debtors), 120, 'they are there');
    log_like($mark, qr/\[userprofile:error\].*could not be erased: \d+; the one with the key \d+: .*invoices.*23503/,
        'the log says why, loudly', $node->{error_log});
    # It takes the users from their deletion, which would take the invoices from it.
    db()->do('BEGIN; LOCK TABLE users; DROP TABLE invoices; COMMIT');
    ok(wait_for($SOON, sub { !grep { is_there($_) } @debtors }), 'when nothing refers to them they are erased');
    swept('120 of them');
};

subtest 'the storage is away' => sub {
    my $person = with_avatar();
    my $url = user_row($person->{id})->{avatar_url};

    ok(is_stored($person), 'an account has a picture');
    servers->stop_storage;
    set_deleted($GRACE + 1, $person);
    is_erased($person, 'the account is erased');
    ok(wait_for($SOON, sub {
        db()->selectrow_array(q(SELECT max(attempts) FROM userprofile_journal WHERE effect = 'destroy'));
    }), 'its picture cannot be deleted');
    is_deeply([journal()], ["destroy $url"], 'and stays in the journal');
    storage_back();
    swept('when the storage is back');
    ok(!is_stored($person), 'the picture is deleted');
    is_deeply([calls()], ['destroy ' . asset_of($url)], '... which the storage was asked for');
};

# --- Killed in between ----------------------------------------------------------------------------

sub children {
    my $master = $node->pid;

    return grep { (eval { slurp("/proc/$_/stat") } // '') =~ /\)\s+\S+\s+$master\s/ }
        map { m{/proc/(\d+)/stat} } glob '/proc/[0-9]*/stat';
}

sub kill_children {
    my @children = children();

    kill KILL => @children;
    wait_for($SOON, sub { !grep { alive($_) } @children });
    return wait_for($SOON, sub { eval { request('GET', '/index.html', port => $node->{port})->code == 200 } });
}

subtest 'killed' => sub {
    my $person = person();
    my $other = db()->clone;

    insert('fluentmeet', 'participants', user_id => $person->{id});
    $other->begin_work;
    $other->do('SELECT FROM participants WHERE user_id = ? FOR UPDATE', undef, $person->{id});
    set_deleted($GRACE + 1, $person);
    ok(wait_for($SOON, sub {
        db()->selectrow_array(q(SELECT count(*) FROM pg_stat_activity WHERE usename = ? AND wait_event_type = 'Lock'
            AND query LIKE '%gone%'), undef, servers->{role});
    }), 'in the transaction');
    ok(kill_children(), 'the children are killed, and others serve');
    is(db()->selectrow_array('SELECT count(*) FROM participants p JOIN users u ON u.id = p.user_id WHERE u.id = ?',
        undef, $person->{id}), 1, 'nothing is half done');
    $other->rollback;
    $other->disconnect;
    is_erased($person, 'and then all is');
    is(db()->selectrow_array('SELECT count(*) FROM participants WHERE user_id = ?', undef, $person->{id}), 0,
        'with what goes with it');
    swept('killed in the transaction');

    $person = with_avatar();
    storage_fault('hang', on => 'destroy', seconds => 60);
    set_deleted($GRACE + 1, $person);
    is_erased($person, 'erased');
    ok(wait_for($SOON, sub { (calls())[-1] eq "destroy $person->{asset}" }), 'while its picture is deleted');
    ok(kill_children(), 'the children are killed');
    swept('killed after the transaction');
    ok(!is_stored($person), 'the picture is deleted');
};

# --- Two nodes ------------------------------------------------------------------------------------

subtest 'two nodes at once' => sub {
    my $second = node(defines => {%SWEEP}, more => $LINE)->start;
    my %mark = map { $_ => log_mark($_) } $node->{error_log}, $second->{error_log};
    my @people = map { person(avatar_url => url_of(sprintf 'avatars/%032x', $_)) } 1 .. 250;

    storage('reset');
    set_deleted($GRACE + 1, @people);
    ok(wait_for(2 * $SOON, sub { !grep { is_there($_) } @people }), 'all accounts are erased');
    ok(wait_for(5, sub { counted(%mark) == 250 }), 'each by one of them') or diag counted(%mark);
    ok(wait_for(2 * $SOON, sub { !journal() }), 'the journal is empty');
    my %times;
    $times{$_}++ for calls();
    is(scalar(keys %times), 250, 'each picture is deleted');
    is(scalar(grep { $_ > 1 } values %times), 0, 'by one of them');
    log_unlike($mark{$_}, qr/\[userprofile:(?:error|warn)/, 'and neither has met the other', $_) for sort keys %mark;
    $second->stop;
};

$node->stop;

# --- Other contracts ------------------------------------------------------------------------------

subtest 'a table whose rows stay, and no avatars' => sub {
    my $keys = servers->{keys};
    my $plain = node(defines => {}, conf => <<"CONF");
DBDriver pgsql
DBDParams "@{[servers->dsn('fluentmeet')]}"
UserProfileTokenKey HS256 $keys/hs256.key
UserProfileTokenStore redis+unix://@{[servers->{redis_socket}]}
UserProfileTable users
UserProfileKeyColumn id
UserProfileSubjectColumn email
UserProfileStateColumns deleted=deleted_at
UserProfileCondition is_verified true
UserProfileField id integer
UserProfileMethods GET DELETE
UserProfileErase participants user_id
UserProfileAnonymise captions speaker speaker "name=a former user"
UserProfileSweep 1
$LINE
<Location "/me">
    UserProfile On
    AuthType Bearer
    AuthName x
    Require valid-user
</Location>
CONF
    servers->query('fluentmeet', 'CREATE TABLE captions (speaker bigint REFERENCES users (id), name text, said text);'
        . 'ALTER TABLE captions OWNER TO ' . servers->{role});
    my ($person, $nobody) = (person(is_verified => 't'), person(is_verified => 'f'));

    insert('fluentmeet', 'captions', speaker => $person->{id}, name => 'Ada', said => 'Hello');
    insert('fluentmeet', 'participants', user_id => $person->{id});
    set_deleted($GRACE + 1, $person, $nobody);
    $plain->start;
    is_erased($person, 'the account is erased');
    is_deeply(db()->selectall_arrayref('SELECT * FROM captions'), [[undef, 'a former user', 'Hello']],
        'what it said stays, and not who said it');
    is(db()->selectrow_array('SELECT count(*) FROM participants WHERE user_id = ?', undef, $person->{id}), 0,
        'the rest goes');
    ok(is_there($nobody), 'a row that is no user of this contract stays');
    swept('no avatars');
    $plain->stop;
    db()->do('DROP TABLE captions');
    db()->do('DELETE FROM users WHERE id = ?', undef, $nobody->{id});
};

subtest 'by default' => sub {
    my $person = deleted(10 * 365 * 86_400);
    my $default = node(defines => {%SWEEP})->start;
    my $none = node(defines => {%SWEEP}, more => "UserProfileGracePeriod none\n")->start;

    for my $at ($default, $none) {
        my $mark = log_mark($at->{error_log});
        db()->do(q(INSERT INTO userprofile_journal (contract, effect, url, owner, lease)
            VALUES ('users', 'destroy', 'https://example.com/x.png', 'elsewhere:1:1', '2000-01-01')));
        swept('a sweep');
    }
    ok(is_there($person), 'an account stays for ever');
    db()->do('DELETE FROM users WHERE id = ?', undef, $person->{id});
};

storage('reset');
done_testing();
