#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
#
# Postgres is restarted, and crashes, under a load of readers and writers: they are answered by 200
# or 503 in bounded time, the first request after it is back is served, httpd is not touched, and
# what was answered by 200 is there.
use strict;
use warnings;
use Test::More;
use Time::HiRes qw(sleep time);
use UserProfile::Load;
use UserProfile::Test;

# What the shipped configuration allows a request of one statement: a connection from the pool,
# connecting (libpq counts whole seconds, and one more), a statement, a command to Redis; and this
# machine's other work.
my $LIMIT = 2 + 3 + 3 + 0.5 + 3;
my $WRITERS = 4;

my $node = node(more => $GUARDED)->start;
my %here = (port => $node->{port});

my @users = map { user_new() } 0 .. $WRITERS;
my @tokens = map { token(sub => $_->{email}) } @users;

# Each writes numbers that rise.
sub writer {
    my ($n) = @_;

    return sub { me('PATCH', token => $tokens[$n], json => {full_name => "number $_[0]"}, %here) };
}

sub reader {
    my ($path) = @_;

    return sub { request('GET', $path, token => $tokens[$WRITERS], %here) };
}

# The first clients of a load are the writers. What one was told is done is there, or what it wrote
# later and was told nothing of.
sub nothing_lost {
    my ($answers, $name) = @_;
    my $lost = 0;

    for my $n (0 .. $WRITERS - 1) {
        my @sent = grep { $_->{client} == $n } @$answers;
        my ($last) = sort { $b <=> $a } 0, map { $_->{i} } grep { $_->{status} eq '200' } @sent;
        my ($there) = (user_row($users[$n]{id})->{full_name} // '') =~ /^number (\d+)$/;
        $lost++ unless defined $there && $there >= $last && $there <= @sent;
    }
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    return is($lost, 0, "$name: each acknowledged write is there");
}

for my $how (qw(fast immediate)) {
    my $name = {fast => 'restarted', immediate => 'crashed'}->{$how};
    my @before = children_of($node->pid);
    my $load = UserProfile::Load->start((map { writer($_) } 0 .. $WRITERS - 1), (reader($ME)) x 3,
        reader('/guarded/'));

    ok($load->warm, "$name: all is well before");
    for my $round (1, 2) {
        my $down = time;
        servers()->stop_postgres($how);
        ok($load->met(503, $down), "$name: each client has met it, for the time $round");
        servers()->start_postgres;
        my $back = time;
        ok($load->served_since($back), "$name: and is served again");
        my @since = grep { $_->{began} > $back } $load->answers;
        is(statuses(@since), '200: ' . @since, "$name: from the first request on");
    }
    my @answers = $load->stop;
    is_bounded(\@answers, $LIMIT, $name);
    nothing_lost(\@answers, $name);

    my @after = map { me($_ % 2 ? 'GET' : 'PATCH', token => $tokens[0], %here,
        $_ % 2 ? () : (json => {full_name => 'After'}))->code } 1 .. 200;
    is(scalar(grep { $_ == 200 } @after), 200, "$name: 200 of 200 afterwards");
    my %after = map { $_ => 1 } children_of($node->pid);
    is(scalar(grep { $after{$_} } @before), scalar @before, "$name: the children are the same");
}

done_testing();
