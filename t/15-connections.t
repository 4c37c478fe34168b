#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
#
# Connections to the database survive what happens on them: a statement that fails when it is first
# used, a restart of the server with a burst after it. In one child, so that each is used.
use strict;
use warnings;
use Test::More;
use UserProfile::Load;
use UserProfile::Test;

my $node = node(mpm => 'event', more => <<'CONF')->start;
ServerLimit 1
StartServers 1
MaxRequestWorkers 25
MinSpareThreads 1
MaxSpareThreads 25
UserProfileTimeout statement=1s
DBDMin 8
CONF
my %here = (port => $node->{port});
my $user = user_new();
my $token = token(sub => $user->{email});

# The statuses of so many updates at once, each with how often it came: "200: 16".
sub burst {
    my ($count) = @_;

    return statuses(at_once($count, 'PATCH', $ME, token => $token, %here,
        body => sub { qq({"full_name":"Name $_[0]"}) }));
}

sub patch {
    my ($i) = @_;

    return me('PATCH', token => $token, json => {full_name => "Name $i"}, %here);
}

{
    my $mark = log_mark($node->{error_log});
    my $lock = DBI->connect('dbi:Pg:dbname=fluentmeet;host=' . servers()->{postgres}, 'postgres', '',
        {RaiseError => 1, AutoCommit => 0});

    $lock->do('SELECT 1 FROM users WHERE id = ? FOR UPDATE', undef, $user->{id});
    is(burst(16), '503: 16', 'updates of a locked row, each the first on its connection');
    $lock->rollback;
    $lock->disconnect;
    is(burst(8), '200: 8', 'when the lock is gone, the connections serve') for 1 .. 5;
    log_unlike($mark, 'already exists', 'no statement is prepared twice', $node->{error_log});
}

for my $how ('fast', 'immediate') {
    is(burst(16), '200: 16', 'all connections are warm');
    servers()->stop_postgres($how);
    servers()->start_postgres;
    my @status = map { patch($_)->code } 1 .. 30;
    is_deeply(\@status, [(200) x 30], "30 of 30 updates after a restart ($how)");
    is(burst(16), '200: 16', "a burst after a restart ($how)");
}

# A session that an administrator ends while it is idle: read or changed, nobody is told of it.
for my $method (qw(GET PATCH)) {
    is(burst(16), '200: 16', 'all connections are warm');
    db()->do('SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE usename = ?', undef, servers->{role});
    my @status = map { ($method eq 'GET' ? me('GET', token => $token, %here) : patch($_))->code } 1 .. 30;
    is_deeply(\@status, [(200) x 30], "30 of 30 by $method after all sessions were ended");
}

# What the table does not take is the client's error where the value is the client's.
db()->do('ALTER TABLE users ALTER COLUMN full_name TYPE varchar(300)');
db()->do(q(ALTER TABLE users ADD CONSTRAINT no_bob CHECK (full_name <> 'Bob')));
my $before = user_row($user->{id});
is_error(me('PATCH', token => $token, json => {full_name => 'Bob'}, %here), 400, 'VALIDATION_ERROR',
    'a value that a constraint of the table refuses');
is_deeply(user_row($user->{id}), $before, 'nothing is changed');
db()->do('ALTER TABLE users DROP CONSTRAINT no_bob');

# What is looked at only at the commit: the answer has been given already, and then an error comes.
db()->do(<<'SQL');
CREATE FUNCTION refuse_late() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'too late' USING ERRCODE = NEW.full_name;
END;
$$;
CREATE CONSTRAINT TRIGGER refuse_late AFTER UPDATE ON users DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW WHEN (NEW.full_name ~ '^[0-9A-Z]{5}$') EXECUTE FUNCTION refuse_late();
SQL
for my $case (['23503', 400, 'VALIDATION_ERROR'], ['40001', 503, 'SERVICE_UNAVAILABLE'],
    ['25006', 503, 'SERVICE_UNAVAILABLE'], ['P0001', 500, 'INTERNAL_ERROR'])
{
    my ($state, $status, $code) = @$case;
    my $began = time;
    is_error(me('PATCH', token => $token, json => {full_name => $state}, %here), $status, $code,
        "an error at the commit: $state");
    cmp_ok(time - $began, '<', 5, 'it comes in time');
    is_deeply(user_row($user->{id}), $before, 'nothing is changed');
    is(burst(8), '200: 8', 'the connections serve');
    $before = user_row($user->{id});
}
db()->do('DROP FUNCTION refuse_late CASCADE');
db()->do('ALTER TABLE users ALTER COLUMN full_name TYPE varchar(255)');

done_testing();
