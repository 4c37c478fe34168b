#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
#
# Processes of httpd that end, as they were told to (MaxConnectionsPerChild) or all of them at once by
# SIGKILL: the first loses no request; after the second a new start finds nothing in its way, and what
# was promised is done.
use strict;
use warnings;
use Test::More;
use UserProfile::Avatar;
use UserProfile::Traffic;
use UserProfile::Resources;
use UserProfile::Test;

my $CLIENTS = 6;
my $DATABASE = 7;

sub one_of {
    my ($mpm, $more) = @_;

    return node(
        mpm => $mpm,
        defines => {
            USERPROFILE_DB => servers->dsn('fluentmeet') . " application_name=processes_$mpm",
            USERPROFILE_TOKENS => 'redis+unix://' . servers->{redis_socket} . "?db=$DATABASE",
            USERPROFILE_SWEEP => 1,
        },
        more => "UserProfileTimeout statement=2s storage=2s connect=1s\n$more",
    )->start;
}

# Requests whose answers are 200; no pictures where the flag is not set.
sub load {
    my ($node, $pictures) = @_;
    my @people = map { person(full_name => 'Ada') } 1 .. 4;
    my $turn = 0;

    return UserProfile::Traffic->new(port => $node->{port}, clients => $CLIENTS, next => sub {
        my $person = $people[$turn++ % @people];
        my %request = (path => $ME, token => $person->{token}, expect => 200);

        return {%request, method => 'PUT', path => "$ME/avatar", type => 'image/png', body => png()}
            if $turn % 10 == 0 && $$pictures;
        return {%request, method => 'PATCH', type => 'application/json', body => qq({"full_name":"Ada $turn"})}
            if $turn % 3 == 0;
        return {%request, method => 'GET'};
    });
}

# How many requests the storage has let hang so far.
sub hung {
    return scalar grep { $_->{fault} eq 'hang' } @{storage('requests')->{requests}};
}

# Each picture of these tests has its row, and each row its own.
sub consistent {
    my ($name) = @_;
    my $urls = db()->selectcol_arrayref('SELECT avatar_url FROM users WHERE avatar_url IS NOT NULL');
    local $Test::Builder::Level = $Test::Builder::Level + 1;

    ok(wait_for(30, sub { !journal() }), "$name: the journal is empty") or diag explain [journal()];
    $urls = db()->selectcol_arrayref('SELECT avatar_url FROM users WHERE avatar_url IS NOT NULL');
    return is_deeply([sort(assets())], [sort map { asset_of($_) } @$urls], "$name: each picture has its row");
}

storage('reset');
journal_clear();
db()->do('UPDATE users SET avatar_url = NULL WHERE avatar_url IS NOT NULL');

for my $mpm (qw(event worker prefork)) {
    subtest "$mpm: MaxConnectionsPerChild under load" => sub {
        my $node = one_of($mpm, "MaxConnectionsPerChild 20\n");
        my %at_first = map { $_ => 1 } children($node);
        my %seen = %at_first;
        my $load = load($node, \1);

        for (1 .. 12) {
            $load->answers(50);
            $seen{$_} = 1 for children($node);
        }
        $load->finish;
        is_deeply($load->{failed}, [], "none of $load->{made} requests has failed");
        cmp_ok(scalar keys %seen, '>', 2 * keys %at_first, 'children have ended, and others begun');
        ok(wait_for(20, sub { !grep { alive($_) } keys %at_first }), 'none of the first is left')
            or diag explain [sort keys %at_first];
        ok(wait_for(10, sub { backends("processes_$mpm") <= children($node) * ($mpm eq 'prefork' ? 1 : 8) }),
            'no session in Postgres is left of them');
        consistent('MaxConnectionsPerChild');
        unlike(slurp($node->{error_log}), qr/AH0004[67]|AH0005[0-2]|Assertion/, 'no child has crashed');
        $node->stop;
    };

    subtest "$mpm: all processes killed, and a new start" => sub {
        my $node = one_of($mpm, '');
        my $load = load($node, \my $pictures);
        my @people = map { person() } 1 .. 3;

        $pictures = 1;
        $load->answers(60);
        # Those below only shall meet the fault.
        $pictures = 0;
        $load->finish;
        my $hung = hung();
        storage_fault('hang', seconds => 20, on => 'upload', count => scalar @people, done => $mpm ne 'worker');
        my @requests = map {
            begin_request('PUT', "$ME/avatar", token => $_->{token}, body => png(), type => 'image/png',
                port => $node->{port})
        } @people;
        ok($load->until(20, sub { hung() == $hung + @people }), 'uploads are under way');
        # Stopped, the parent begins no other child between the two.
        kill STOP => $node->pid;
        my @all = ($node->pid, children($node));
        kill KILL => @all;
        ok(wait_for(10, sub { !grep { alive($_) } @all }), 'all processes are killed');
        $load->finish;
        is_deeply([grep { /status|mid-answer/ } map { $_->{why} } @{$load->{failed}}], [],
            'no answer was wrong, or half of one');
        is_deeply([temporary_files()], [], 'no file is left');

        ok(eval { $node->start }, 'a new start') or diag $@;
        $pictures = 1;
        my $failed = @{$load->{failed}};
        $load->answers(60);
        $load->finish;
        is(@{$load->{failed}} - $failed, 0, 'then none of 60 requests fails')
            or diag explain [@{$load->{failed}}[$failed .. $#{$load->{failed}}]];
        ok(wait_for(10, sub { backends("processes_$mpm") <= children($node) * ($mpm eq 'prefork' ? 1 : 8) }),
            'no session in Postgres is left of before');
        consistent('killed');
        is_deeply([grep { user_row($_->{id})->{avatar_url} } @people], [], 'what was killed in its upload is not done');
        $node->stop;
    };
}

done_testing();
