#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
#
# The embedded configuration as it is shipped, and what is SQLite's own: writers at once, on each MPM;
# a database that is busy, not to be written, not there; killed processes; tokens that expire. That
# it keeps the contract as the other does, the tests in t/embedded/ show; of the grace period there
# is here what t/42-grace.t shows of Postgres.
use strict;
use warnings;
use POSIX ();
use Test::More;
use Time::HiRes qw(sleep time);
use UserProfile::Avatar qw(begin_request end_request);
use UserProfile::Embedded ();
use UserProfile::Process qw(run_quietly);
use UserProfile::Test;

my $WRITERS = 24;
my $top = scratch() . '/top';
my $folders = 0;

# A folder with an empty database, as sql/embedded.sql says.
sub folder {
    my $folder = sprintf '%s/embedded-%d-%d', scratch(), $$, $folders++;

    mkdir $folder or die "$folder: $!\n";
    run_quietly('sh', '-c', 'cd "$0" && sqlite3 userprofile.db < "$1"', $folder, "$top/sql/embedded.sql");
    return $folder;
}

# An httpd with the configuration as shipped, and the handle of its database.
sub embedded_node {
    my ($folder, %option) = @_;
    my $more = delete $option{more} // '';
    my $node = node(conf => qq(Include "$top/conf/embedded.conf"\n$more), %option,
        defines => {USERPROFILE_EMBEDDED_DIR => $folder, %{$option{defines} // {}}});

    return ($node, UserProfile::Embedded->connect($folder));
}

my $users = 0;

sub new_user {
    my ($db, %column) = @_;
    my @names = ('email', sort keys %column);
    my $email = sprintf 'user-%d-%d@example.com', $$, $users++;

    return $db->selectrow_hashref(sprintf('INSERT INTO users (%s) VALUES (%s) RETURNING *',
        join(', ', @names), join ', ', ('?') x @names), undef, $email, @column{sort keys %column});
}

sub is_sound {
    my ($db, $name) = @_;

    return is(join("\n", @{$db->selectcol_arrayref('PRAGMA integrity_check')}), 'ok', "$name: the database is sound");
}

# --- As shipped -----------------------------------------------------------------------------------

subtest 'as shipped' => sub {
    my $folder = folder();
    my ($node, $db) = embedded_node($folder);
    $node->start;
    my @at = (port => $node->{port});
    my $user = new_user($db);
    my $token = token(sub => $user->{email});

    is_profile(me('GET', token => $token, @at), {id => $user->{id}, email => $user->{email}, full_name => undef,
        avatar_url => undef, speaking_language => 'en', listening_language => 'en',
        created_at => $user->{created_at} =~ s/\.?0*Z\z/Z/r}, 'a row with its email only');
    like(me('GET', token => $token, @at)->content, qr/^\{"id":\d+,.*"is_active":true,"is_verified":false,/,
        'numbers and booleans are such');

    my $picture = png();
    my $res = request('PUT', "$ME/avatar", token => $token, body => $picture, type => 'image/png', @at);
    my $url = json($res)->{avatar_url};
    like($url, qr{^/avatars/[0-9a-f]{32}\.png\z}, 'a picture, in a folder that was not there');
    my $served = request('GET', $url, @at);
    is(join(' ', map { $served->header($_) // '-' } qw(Content-Type X-Content-Type-Options)), 'image/png nosniff',
        'it is served');
    is($served->content, $picture, '... as it is');
    for my $path ('/avatars/', '/avatars/userprofile.db', '/avatars/../userprofile.db', '/avatars/%2e%2e/userprofile.db',
        '/avatars..%2fuserprofile.db', '/userprofile.db') {
        isnt(request('GET', $path, @at)->code, 200, "$path is not");
    }
    is(request('DELETE', "$ME?hard=true", token => $token, @at)->code, 200, 'the account is erased');
    is(request('GET', $url, @at)->code, 404, 'and its picture');
    is_error(me('GET', token => $token, @at), 401, 'TOKEN_REVOKED', 'the token is revoked');
    is($db->selectrow_array('SELECT count(*) FROM userprofile_journal'), 0, 'an empty journal');
    log_unlike(0, qr/\[userprofile:(?:warn|error)\]/, 'and nothing to complain of', $node->{error_log});

    # An erased user's number is nobody's any more.
    cmp_ok(new_user($db)->{id}, '>', $user->{id}, 'the next user has the next number');
    $db->disconnect;
    $node->stop;
    # Who closes the last connection takes them away, but not where two close at once: then the next
    # one does, if nobody else is there.
    my $last = UserProfile::Embedded->connect($folder);
    $last->selectrow_array('SELECT count(*) FROM users');
    $last->disconnect;
    is_deeply([glob "$folder/userprofile.db-*"], [], 'httpd has closed what it had opened');
};

# --- Writers at once ------------------------------------------------------------------------------

# Runs the sub in so many processes at once, with the number of each; returns what they return.
sub at_once {
    my ($count, $sub) = @_;
    my @pipes = map {
        my $number = $_;
        pipe my $in, my $out or die "pipe: $!\n";
        my $pid = fork // die "fork: $!\n";
        if (!$pid) {
            print {$out} eval { $sub->($number) } // "died: $@";
            close $out;
            POSIX::_exit(0);
        }
        [$pid, $in];
    } 1 .. $count;

    return map { local $/; my $said = readline $_->[1]; waitpid $_->[0], 0; $said } @pipes;
}

for my $mpm (qw(event worker prefork)) {
    subtest "$WRITERS writers at once, on $mpm" => sub {
        my ($node, $db) = embedded_node(folder(), mpm => $mpm);
        $node->start;
        my @at = (port => $node->{port});
        my $shared = new_user($db);
        my @users = map { new_user($db) } 1 .. $WRITERS;
        my $rounds = 10;
        my @said = at_once($WRITERS, sub {
            my ($number) = @_;
            my @tokens = map { token(sub => $_->{email}) } $users[$number - 1], $shared;
            return join ' ', map {
                my $round = $_;
                map { me('PATCH', token => $_, json => {full_name => "$number, $round"}, @at)->code } @tokens
            } 1 .. $rounds;
        });
        is_deeply([grep { $_ ne join ' ', (200) x (2 * $rounds) } @said], [], 'each answer is 200');
        my $rows = $db->selectcol_arrayref('SELECT full_name FROM users ORDER BY id');
        like(shift @$rows, qr/^\d+, $rounds\z/, 'the row of all of them has what one has written last');
        is_deeply($rows, [map { "$_, $rounds" } 1 .. $WRITERS], "each one's own row has what it has written last");

        my %seen;
        for my $round (1 .. 5) {
            my $token = token(sub => $shared->{email});
            my $tag = me('GET', token => $token, @at)->header('ETag');
            my @codes = at_once($WRITERS, sub {
                my ($number) = @_;
                my $res = me('PATCH', token => $token, headers => {'If-Match' => $tag}, @at,
                    json => {full_name => "race $round, $number"});
                return $res->code;
            });
            $seen{join ' ', sort @codes}++;
        }
        is_deeply(\%seen, {join(' ', 200, (412) x ($WRITERS - 1)) => 5}, 'with one tag one wins, 5 times');
        is_sound($db, $mpm);
        $node->stop;
    };
}

# --- Killed ---------------------------------------------------------------------------------------

subtest 'killed in the middle of writing' => sub {
    my $folder = folder();
    my ($node, $db) = embedded_node($folder);
    my @users = map { new_user($db) } 1 .. 6;
    my @at = (port => $node->{port});

    for my $round (1 .. 4) {
        $node->start;
        my $parent = $node->pid;
        my $end = time + 0.5 + rand 0.5;
        # Each says what was acknowledged last, and what it asked for without an answer.
        my $clients = sub {
            my ($number) = @_;
            my $token = token(sub => $users[$number - 1]{email});
            my ($done, $next) = (0, 0);
            while (1) {
                $next++;
                my $res = eval { me('PATCH', token => $token, json => {full_name => "$round $next"}, keep => 0,
                    timeout => 5, @at) };
                return "$done $next" unless $res && $res->code == 200;
                $done = $next;
            }
        };
        my $killer = fork // die "fork: $!\n";
        if (!$killer) {
            sleep 0.05 while time < $end;
            # All at once, as when the machine loses its power: the parent, and its children.
            my @all = ($parent, grep { (eval { slurp("/proc/$_/stat") } // '') =~ /\)\s+\S+\s+$parent\s/ }
                map { m{/proc/(\d+)/} } glob '/proc/[0-9]*/stat');
            kill KILL => @all;
            POSIX::_exit(0);
        }
        my @said = at_once(scalar @users, $clients);
        waitpid $killer, 0;
        ok(wait_for(10, sub { !alive($parent) }), "round $round: httpd is gone");
        is_sound($db, "round $round");
        my @lost = grep {
            my ($done, $next) = split ' ', $said[$_];
            my $has = $db->selectrow_array('SELECT full_name FROM users WHERE id = ?', undef, $users[$_]{id}) // '';
            $done && $has ne "$round $done" && $has ne "$round $next"
        } 0 .. $#users;
        is_deeply([map { $said[$_] } @lost], [], "round $round: what was acknowledged is there");
        # A server that was killed leaves its port to the next at once.
        unlink $node->{pid_file};
    }
    $node->start;
    is(me('GET', token => token(sub => $users[0]{email}), @at)->code, 200, 'and it serves again');
    $node->stop;
};

# --- Busy, not to be written, not there -----------------------------------------------------------

subtest 'somebody else is writing' => sub {
    my ($node, $db) = embedded_node(folder(), more => "UserProfileTimeout statement=500ms\n");
    $node->start;
    my @at = (port => $node->{port});
    my $token = token(sub => new_user($db)->{email});
    my $mark = log_mark($node->{error_log});

    me('GET', token => $token, @at);
    $db->do('BEGIN IMMEDIATE');
    is_profile(me('GET', token => $token, @at), {full_name => undef}, 'who reads does not wait');
    my $start = time;
    my @requests = map {
        begin_request('PATCH', $ME, token => $token, body => '{"full_name":"x"}', type => 'application/json', @at)
    } 1 .. 4;
    is_error(end_request($_), 503, 'SERVICE_UNAVAILABLE', 'who writes waits, but not for ever') for @requests;
    cmp_ok(time - $start, '>', 0.4, 'as long as is configured');
    log_like($mark, qr/did not begin to write within 500 ms: look for locks/, 'the log says so', $node->{error_log});
    my $request = begin_request('PATCH', $ME, token => $token, body => '{"full_name":"y"}',
        type => 'application/json', @at);
    $db->do('COMMIT');
    is_profile(end_request($request), {full_name => 'y'}, 'and goes on when the other has ended');
    $node->stop;
};

subtest 'a database that cannot be written' => sub {
    plan skip_all => 'root can write everywhere' unless $>;
    my $folder = folder();
    my ($node, $db) = embedded_node($folder);
    my $token = token(sub => new_user($db)->{email});

    $db->disconnect;
    chmod 0444, "$folder/userprofile.db";
    chmod 0555, $folder;
    $node->start;
    my $mark = log_mark($node->{error_log});
    is_error(me('PATCH', token => $token, json => {full_name => 'x'}, port => $node->{port}), 503,
        'SERVICE_UNAVAILABLE', 'is out of reach');
    log_like($mark, qr/httpd's user must be able to write the database's file and its folder/,
        'and the log says what to do', $node->{error_log});
    chmod 0755, $folder;
    $node->stop;
};

subtest 'a database that is not there' => sub {
    my $folder = folder();
    unlink glob "$folder/userprofile.db*";
    my ($node) = embedded_node($folder);
    $node->start;
    log_like(0, qr/at the start: the database could not read a user: no such table: users/,
        'the log says so at the start', $node->{error_log});
    is_error(me('GET', token => token(sub => 'ada@example.com'), port => $node->{port}), 500, 'INTERNAL_ERROR',
        'and the answer is an error');
    $node->stop;
};

subtest 'a column that is not there' => sub {
    my ($node, $db) = embedded_node(folder());
    $db->do('ALTER TABLE users RENAME COLUMN full_name TO name');
    $node->start;
    # SQLite would take a name in quotes for a text, and so show it as everybody's name.
    log_like(0, qr/at the start: .*no such column.*full_name/, 'the log says so at the start',
        $node->{error_log});
    is_error(me('GET', token => token(sub => new_user($db)->{email}), port => $node->{port}), 500,
        'INTERNAL_ERROR', 'and the answer is an error');
    $node->stop;
};

subtest 'a time that is none' => sub {
    my ($node, $db) = embedded_node(folder());
    $node->start;
    my $user = new_user($db, created_at => 'yesterday');
    my $mark = log_mark($node->{error_log});

    is_error(me('GET', token => token(sub => $user->{email}), port => $node->{port}), 500, 'INTERNAL_ERROR',
        'is not shown');
    log_like($mark, qr/column created_at of a user holds no timestamp/, 'the log says which column',
        $node->{error_log});
    $node->stop;
};

# --- The grace period -----------------------------------------------------------------------------

subtest 'the grace period' => sub {
    my $folder = folder();
    my @how = ($folder, defines => {USERPROFILE_SWEEP => 1}, more => "UserProfileGracePeriod 100s\n");
    my ($node, $db) = embedded_node(@how);
    my ($second) = embedded_node(@how);
    my $ago = sub { $db->selectrow_array(q(SELECT strftime(?, 'now', ?)), undef, @_) };
    my $is_there = sub { $db->selectrow_array('SELECT count(*) FROM users WHERE id = ?', undef, $_[0]{id}) };
    my $rows = sub { $db->selectrow_array('SELECT count(*) FROM participants WHERE user_id = ?', undef, $_[0]{id}) };
    my ($late, $other) = (new_user($db), new_user($db));

    $node->start;
    my $url = json(request('PUT', "$ME/avatar", token => token(sub => $late->{email}), body => png(),
        type => 'image/png', port => $node->{port}))->{avatar_url};
    for my $user ($late, $other) {
        $db->do('INSERT INTO participants (user_id) VALUES (?)', undef, $user->{id});
        $db->do('INSERT INTO refresh_tokens VALUES (?, ?, unixepoch() + 1000)', undef, "of $user->{id}", $user->{email});
    }
    # As other programs may have written it.
    my @due = map { new_user($db, deleted_at => $ago->($_, '-200 seconds')) } '%Y-%m-%dT%H:%M:%fZ',
        '%Y-%m-%dT%H:%M:%SZ', '%Y-%m-%d %H:%M:%S', '%s', '%Y-%m-%dT%H:%M:%S+00:00';
    push @due, new_user($db, deleted_at => '2026-01-01');
    my @kept = map { new_user($db, deleted_at => $_) } $ago->('%Y-%m-%dT%H:%M:%fZ', '-1 seconds'),
        $ago->('%s', '-1 seconds'), $ago->('%Y-%m-%d %H:%M:%S', '+1 day'), '2100-01-01', 'yesterday';
    my $debtor = new_user($db, deleted_at => '2025-01-01');
    $db->do('CREATE TABLE invoices (user_id integer REFERENCES users (id))');
    $db->do('INSERT INTO invoices VALUES (?)', undef, $debtor->{id});
    $db->do('UPDATE users SET is_active = 0, deleted_at = ? WHERE id = ?', undef,
        $ago->('%Y-%m-%dT%H:%M:%fZ', '-101 seconds'), $late->{id});

    ok(wait_for(20, sub { !grep { $is_there->($_) } $late, @due }), 'who was deleted long ago is erased');
    is(scalar(grep { $is_there->($_) } @kept, $other), 6, 'and nobody else');
    is($rows->($late) . $rows->($other), '01', 'with the rows that belong to it');
    ok(wait_for(20, sub { !$db->selectrow_array('SELECT count(*) FROM userprofile_journal') }), 'an empty journal');
    is_deeply($db->selectcol_arrayref('SELECT token FROM refresh_tokens'), ["of $other->{id}"], 'and its sessions');
    is(request('GET', $url, port => $node->{port})->code, 404, 'and its picture');
    log_like(0, qr/\[userprofile:error\].*could not be erased: 1; the one with the key $debtor->{id}: .*FOREIGN KEY/i,
        'one that something else refers to stays, and the log says so', $node->{error_log});

    # Two processes at once, on one file.
    my @people = map { new_user($db) } 1 .. 50;
    $second->start;
    $db->do('DROP TABLE invoices');
    $db->do(q(UPDATE users SET deleted_at = '2026-01-01' WHERE id >= ?), undef, $people[0]{id});
    ok(wait_for(30, sub { !grep { $is_there->($_) } $debtor, @people }), 'all are erased');
    my $count = 0;
    for my $log ($node->{error_log}, $second->{error_log}) {
        my $said = slurp($log);
        $count += $1 while $said =~ /their grace period is over: (\d+)$/mg;
    }
    is($count, @due + 1 + 50 + 1, 'each by one of them');
    ok(wait_for(20, sub { !$db->selectrow_array('SELECT count(*) FROM userprofile_journal') }), 'an empty journal');
    is_sound($db, 'erased');
    $_->stop for $node, $second;
};

# --- Tokens in the database -----------------------------------------------------------------------

# One contract, on either database.
sub tokens_expire {
    my ($node, $db, $user) = @_;
    my @at = (port => $node->{port});
    my ($past, $future) = map { int(time) + $_ } -10, 1000;
    my @jti = map { "$_-$$" } qw(past future);
    my $count = sub { $db->selectrow_array("SELECT count(*) FROM $_[0]") };

    $db->do('INSERT INTO blacklisted_access_tokens VALUES (?, ?), (?, ?)', undef, $jti[0], $past, $jti[1], $future);
    $db->do('INSERT INTO refresh_tokens VALUES (?, ?, ?), (?, ?, ?), (?, ?, ?)', undef, 'a', $user->{email}, $past,
        'b', $user->{email}, $future, 'c', 'other@example.com', $future);
    $node->start;
    is_profile(me('GET', token => token(sub => $user->{email}, jti => $jti[0]), @at), {},
        'what has expired counts for nothing');
    is_error(me('GET', token => token(sub => $user->{email}, jti => $jti[1]), @at), 401, 'TOKEN_REVOKED',
        'what has not is revoked');
    ok(wait_for(10, sub { $count->('blacklisted_access_tokens') == 1 && $count->('refresh_tokens') == 2 }),
        'a sweep deletes what has expired, and nothing else');
    my $token = token(sub => $user->{email}, jti => "last-$$");
    is(me('DELETE', token => $token, @at)->code, 200, 'the account is deleted');
    is_error(me('GET', token => $token, @at), 401, 'TOKEN_REVOKED', 'its token is revoked');
    is_deeply($db->selectcol_arrayref('SELECT token FROM refresh_tokens'), ['c'],
        'its refresh tokens are gone, and no other');
    log_unlike(0, qr/\[userprofile:(?:warn|error)\]/, 'nothing to complain of', $node->{error_log});
    $node->stop;
}

subtest 'tokens, on SQLite' => sub {
    my ($node, $db) = embedded_node(folder(), defines => {USERPROFILE_SWEEP => 1});
    tokens_expire($node, $db, new_user($db));
};

subtest 'tokens, on Postgres' => sub {
    servers()->cluster->psql('postgres', 'fluentmeet', '-f', 'sql/tokens.sql');
    db()->do(servers()->grants('tokens'));
    my $node = node(defines => {USERPROFILE_SWEEP => 1}, more => "UserProfileTokenStore database\n");
    tokens_expire($node, db(), user_new());
    db()->do("DROP TABLE $_") for qw(blacklisted_access_tokens refresh_tokens);
    $node = node(more => "UserProfileTokenStore database\n")->start;
    log_like(0, qr/at the start: .*blacklisted_access_tokens/, 'tables that are not there are told',
        $node->{error_log});
    is_error(me('GET', token => token(sub => user_new()->{email}), port => $node->{port}), 500, 'INTERNAL_ERROR',
        'and no token gets in');
    $node->stop;
};

done_testing();
