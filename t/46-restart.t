#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
#
# httpd restarted, reloaded and stopped while it serves, with each of Debian's MPMs: graceful, no
# request on a fresh connection fails, and what is under way is answered; at once (HUP), only what
# was under way is lost, and no half of it is left. Nothing stays behind: no process, no connection,
# no file. A sweep in the middle of a statement or of a call to the storage ends before what it uses.
use strict;
use warnings;
use DBI ();
use IO::Socket::INET ();
use Test::More;
use Time::HiRes qw(sleep time);
use UserProfile::Avatar;
use UserProfile::Crash qw(crash_trace is_own_trace is_httpds_own);
use UserProfile::Traffic;
use UserProfile::Resources;
use UserProfile::Test;

my $CLIENTS = 6;
my %DATABASE = (event => 3, worker => 4, prefork => 5);

# One httpd at a time.
my ($node, $application, $database, %here);

sub start_node {
    my ($mpm) = @_;

    $database = $DATABASE{$mpm};
    $application = "restart_$mpm";
    $node = node(
        mpm => $mpm,
        defines => {
            USERPROFILE_DB => servers->dsn('fluentmeet') . " application_name=$application",
            USERPROFILE_TOKENS => 'redis+unix://' . servers->{redis_socket} . "?db=$database",
            USERPROFILE_SWEEP => 1,
        },
        more => "KeepAliveTimeout 1\nGracefulShutdownTimeout 60\nUserProfileTimeout statement=2s storage=2s connect=1s\n",
    )->start;
    %here = (port => $node->{port});
    return;
}

sub load {
    my (%option) = @_;
    my @people = map { person(full_name => 'Ada') } 1 .. 4;
    my $turn = 0;

    return UserProfile::Traffic->new(port => $node->{port}, clients => $CLIENTS, %option, next => sub {
        my $person = $people[$turn++ % @people];
        my %request = (path => $ME, token => $person->{token}, expect => 200);

        return {%request, method => 'GET'} if $turn % 3;
        return {%request, method => 'PATCH', type => 'application/json', body => qq({"full_name":"Ada $turn"})};
    });
}

# Sends the signal, and returns when httpd has begun anew; dies where it does not.
sub restart {
    my ($signal, $load) = @_;
    my $mark = log_mark($node->{error_log});
    my @old = children($node);
    my $resumed = sub { log_since($mark, $node->{error_log}) =~ /resuming normal operations/ };

    $node->signal($signal);
    ($load ? $load->until(30, $resumed) : wait_for(30, $resumed)) or die "httpd does not begin anew\n";
    return @old;
}

sub gone {
    my (@pids) = @_;

    return wait_for(30, sub { !grep { alive($_) } @pids });
}

# That no child has crashed, or had to be killed.
sub log_is_calm {
    my ($mark, $name) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;

    my @lines = grep { /AH0004[67]|AH0005[0-2]|Assertion|\bcorrupt|double free|Fatal glibc/ }
        split /^/, log_since($mark, $node->{error_log});
    my @own = grep { is_httpds_own($_) } @lines;

    diag("$name: a crash of httpd's own (trap 33 of docs/architecture.md): $_") for @own;
    return is_deeply([grep { !is_httpds_own($_) } @lines], [], "$name: no child has crashed, or had to be killed")
        || diag(map { crash_trace($_) } @lines);
}

sub none_failed {
    my ($load, $name) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;

    return is_deeply([map { "$_->{path}: $_->{why}" } @{$load->{failed}}], [],
        "$name: none of $load->{made} requests has failed");
}

# The invariant of pictures, for these people.
sub consistent {
    my ($name, @people) = @_;
    my @ids = map { $_->{id} } @people;
    my $urls = db()->selectcol_arrayref('SELECT avatar_url FROM users WHERE id = ANY(?) AND avatar_url IS NOT NULL',
        undef, \@ids);
    local $Test::Builder::Level = $Test::Builder::Level + 1;

    ok(wait_for(30, sub { !journal() }), "$name: the journal is empty") or diag explain [journal()];
    return is_deeply([sort(assets())], [sort map { asset_of($_) } @$urls], "$name: each picture has its row");
}

sub uploads_begun {
    my (@people) = @_;
    my @requests = map {
        begin_request('PUT', "$ME/avatar", token => $_->{token}, body => png(), type => 'image/png', %here)
    } @people;

    wait_for(10, sub { (grep { /^upload/ } journal()) == @people }) or die "uploads do not begin\n";
    return @requests;
}

# One crash of event's is not the module's, and it alone is told apart.
subtest 'a crash is told by its frames' => sub {
    my $handler = join '', map { "$_\n" } '/x/build/preload/crash.so(+0x123b)[0x7f01]', '/lib/libc.so.6(+0x3c050)[0x7f02]';
    my $get = "/lib/libapr-1.so.0(apr_os_sock_get+0x0)[0x7f03]\n";
    my $event = "/usr/lib/apache2/modules/mod_mpm_event.so(+0x6e00)[0x7f04]\n";
    my $module = "/x/mod_userprofile.so(+0x1234)[0x7f05]\n";

    ok(is_own_trace("$handler$get$event/usr/sbin/apache2(ap_run_mpm+0x4f)[0x7f06]\n"), "httpd's");
    ok(!is_own_trace($_), 'not httpd\'s: ' . join ' ', /(\w+)\.so/g)
        for "$handler$module$get$event", "$handler$get$module$event", "$handler$get$event$module",
        "$handler$event", "$handler$get", $handler, '';

    my $perl = q($SIG{SEGV} = sub {}; print "child pid $$ exit signal"; $| = 1; kill SEGV => $$);
    my $dir = scratch();
    my $line = qx({ UP_CRASHES='$dir/crashes' LD_PRELOAD='$dir/top/build/preload/crash.so' $^X -e '$perl'; } 2>&-);
    like(crash_trace($line), qr{\A.*/crash\.so.*\n.*/libc\.so.*\n}, 'they are noted');
    ok(!is_httpds_own($line), '... and are not taken for httpd\'s');
};

storage('reset');
journal_clear();
db()->do('UPDATE users SET avatar_url = NULL WHERE avatar_url IS NOT NULL');

for my $mpm (split ' ', $ENV{UP_MPMS} // 'event worker prefork') {
    start_node($mpm);

    subtest "$mpm: graceful restarts (USR1) under load" => sub {
        my $mark = log_mark($node->{error_log});
        my $load = load();
        my (@old, $before);

        for my $turn (1 .. 6) {
            $load->answers(40);
            push @old, restart('USR1', $load);
            $before = descriptors($node->pid)->{all} if $turn == 2;
        }
        $load->answers(40);
        $load->finish;
        none_failed($load, 'USR1');
        ok(gone(@old), 'the children from before have ended') or diag "@old";
        is(descriptors($node->pid)->{all}, $before, 'the parent has no more descriptors than after two restarts');
        cmp_ok(backends($application), '<=', children($node) * ($mpm eq 'prefork' ? 1 : 8),
            'no session in Postgres is left of them');
        cmp_ok(redis_clients($database), '<=', children($node) * ($mpm eq 'prefork' ? 3 : 27), 'nor in Redis');
        is_deeply([temporary_files()], [], 'nor a file');
        log_is_calm($mark, 'USR1');
    };

    subtest "$mpm: uploads under way at a graceful restart" => sub {
        my $mark = log_mark($node->{error_log});
        my @people = map { person() } 1 .. 4;

        storage_fault('slow', seconds => 1, on => 'upload', count => scalar @people);
        my @requests = uploads_begun(@people);
        my @old = restart('USR1');
        is_deeply([map { end_request($_)->code } @requests], [(200) x @people], 'are answered');
        is(request('GET', '/index.html', %here)->code, 200, 'and new requests');
        ok(gone(@old), 'then their children end');
        consistent('USR1', @people);
        log_is_calm($mark, 'USR1');
        request('DELETE', "$ME/avatar", token => $_->{token}, %here) for @people;
    };

    # The children end while the sweeper of one of them waits in a statement, or for the storage.
    subtest "$mpm: a sweep under way" => sub {
        my $mark = log_mark($node->{error_log});
        my $lock = DBI->connect('dbi:Pg:dbname=fluentmeet;host=' . servers->{postgres}, 'postgres', '',
            {RaiseError => 1, AutoCommit => 0});

        for my $signal (qw(USR1 HUP)) {
            $lock->do('LOCK TABLE userprofile_journal IN ACCESS EXCLUSIVE MODE');
            ok(wait_for(30, sub { backends($application, 'active') }), "$signal: a sweep is in a statement");
            ok(gone(restart($signal)), "$signal: the children end");
            $lock->rollback;
            log_is_calm($mark, "$signal, in a statement");

            storage('reset');
            storage_fault('slow', seconds => 1, on => 'destroy');
            db()->do(q(INSERT INTO userprofile_journal (contract, owner, lease, created_at, effect, asset)
                VALUES ('users', 'elsewhere:1:1', '2000-01-01', '2026-01-01', 'upload', ?)), undef,
                'avatars/' . 'e' x 32);
            ok(wait_for(30, sub { storage('requests')->{count} }), "$signal: a sweep is at the storage");
            ok(gone(restart($signal)), "$signal: the children end");
            consistent($signal);
            log_is_calm($mark, "$signal, at the storage");
        }
    };

    # What a child has taken, it takes along; another may take the next request before it ends, too.
    subtest "$mpm: restarts at once (HUP) under load" => sub {
        my $mark = log_mark($node->{error_log});
        my $load = load();
        my (@old, @between);

        for (1 .. 3) {
            $load->answers(60);
            my $begin = time;
            push @old, restart('HUP', $load);
            push @between, [$begin, time];
        }
        $load->answers(60);
        $load->finish;
        my @lost = @{$load->{failed}};
        is_deeply([grep { my $at = $_->{at}; !grep { $at >= $_->[0] && $at <= $_->[1] } @between } @lost], [],
            'requests are lost only between the signal and the new start');
        is_deeply([grep { /connect:|status|mid-answer/ } map { $_->{why} } @lost], [],
            'no connection is refused, no answer is wrong, or half of one');
        ok(gone(@old), 'the children from before have ended');
        cmp_ok(backends($application), '<=', children($node) * ($mpm eq 'prefork' ? 1 : 8),
            'no session in Postgres is left of them');
        log_is_calm($mark, 'HUP');
    };

    # Requests under way in each place where one can wait.
    subtest "$mpm: what waits at a restart at once" => sub {
        my $mark = log_mark($node->{error_log});
        my @people = map { person() } 1 .. 3;
        my $get = sub { map { begin_request('GET', $ME, token => $_->{token}, %here) } @people };
        my $ended = sub {
            my ($name, @old) = @_;
            local $Test::Builder::Level = $Test::Builder::Level + 1;
            ok(gone(@old), "$name: the children end");
            return log_is_calm($mark, $name);
        };

        my $lock = DBI->connect('dbi:Pg:dbname=fluentmeet;host=' . servers->{postgres}, 'postgres', '',
            {RaiseError => 1, AutoCommit => 0});
        $lock->do('LOCK TABLE users IN ACCESS EXCLUSIVE MODE');
        my @requests = $get->();
        ok(wait_for(10, sub { backends($application, 'active') == @people }), 'requests wait in the database');
        $ended->('for a statement', restart('HUP'));
        $lock->rollback;
        $lock->disconnect;

        my @frozen = (servers->postgres_pid, @{db()->selectcol_arrayref(
            'SELECT pid FROM pg_stat_activity WHERE application_name = ?', undef, $application)});
        kill STOP => @frozen;
        @requests = $get->();
        sleep 0.2;
        my @old = restart('HUP');
        kill CONT => @frozen;
        $ended->('for a frozen server', @old);

        kill STOP => servers->redis_pid;
        @requests = $get->();
        sleep 0.2;
        @old = restart('HUP');
        kill CONT => servers->redis_pid;
        $ended->('for the token store', @old);

        storage('reset');
        storage_fault('hang', seconds => 20, on => 'upload', count => scalar @people);
        @requests = uploads_begun(@people);
        $ended->('for the storage', restart('HUP'));
        is(request('GET', '/index.html', %here)->code, 200, 'others serve');
        consistent('for the storage', @people);
        storage('reset');

        # A client who never sends the rest. A child of prefork that waits for him ends as it is told;
        # of the others httpd kills it after 9 s, whatever its thread is reading for.
        return unless $mpm eq 'prefork';
        my $client = IO::Socket::INET->new(PeerAddr => "127.0.0.1:$node->{port}") or die "connect: $!\n";
        print {$client} "PUT $ME/avatar HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer $people[0]{token}\r\n"
            . "Content-Type: image/png\r\nContent-Length: 9999\r\n\r\n" . png();
        $client->flush;
        ok(wait_for(10, sub { grep { descriptors($_)->{files} } children($node) }), 'a request waits for its body');
        $ended->('for a client', restart('HUP'));
        is_deeply([temporary_files()], [], 'and no file is left');
    };

    subtest "$mpm: a graceful stop (WINCH) under load" => sub {
        my $mark = log_mark($node->{error_log});
        my $load = load();
        my @people = map { person() } 1 .. 2;
        my $parent = $node->pid;
        my @children = children($node);

        $load->answers(60);
        storage_fault('slow', seconds => 1, on => 'upload', count => scalar @people);
        my @requests = uploads_begun(@people);
        $node->signal('WINCH');
        $load->until(30, sub { @{$load->{failed}} });
        $load->finish;
        is_deeply([map { end_request($_)->code } @requests], [(200) x @people], 'what is under way is answered');
        is_deeply([grep { /status|mid-answer/ } map { $_->{why} } @{$load->{failed}}], [],
            'no answer is wrong, or half of one');
        ok(gone($parent, @children), 'all processes end');
        is(backends($application), 0, 'no session is left in Postgres');
        is(redis_clients($database), 0, 'nor in Redis');
        is_deeply([temporary_files()], [], 'no file is left');
        is_deeply([grep { !/(?:_log|httpd\.conf)$/ } glob "$node->{dir}/*"], [], 'nor in its own folder');
        log_is_calm($mark, 'WINCH');
        $node->start;
        request('DELETE', "$ME/avatar", token => $_->{token}, %here) for @people;
        consistent('WINCH', @people);
    };

    subtest "$mpm: a stop (TERM) under load" => sub {
        my $mark = log_mark($node->{error_log});
        my $load = load();
        my ($parent, @children) = ($node->pid, children($node));

        $load->answers(60);
        $node->signal('TERM');
        $load->until(30, sub { @{$load->{failed}} });
        $load->finish;
        ok(gone($parent, @children), 'all processes end');
        is(backends($application), 0, 'no session is left in Postgres');
        is(redis_clients($database), 0, 'nor in Redis');
        is_deeply([grep { !/(?:_log|httpd\.conf)$/ } glob "$node->{dir}/*"], [], 'no file is left');
        log_is_calm($mark, 'TERM');
    };
}

done_testing();
