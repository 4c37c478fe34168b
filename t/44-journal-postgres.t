#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
#
# Postgres crashes at random times, and is started again, while pictures are swapped and removed and
# accounts deleted: nothing that was acknowledged is lost, and when the journal has been swept each
# picture has its row, no account that is gone has a session left, and none that is there has lost one.
use strict;
use warnings;
use Test::More;
use Time::HiRes qw(sleep time);
use UserProfile::Avatar;
use UserProfile::Load;
use UserProfile::Test;

my $SEED = $ENV{UP_SEED} // 20260314;
my $KILLS = $ENV{UP_KILLS} // 4;
my $ACCOUNTS = 150 + 50 * $KILLS;
$UserProfile::Load::LONGEST = 120 + 20 * $KILLS;

my $node = node(defines => {USERPROFILE_SWEEP => 1},
    more => "UserProfileTimeout pool=1s statement=1s connect=1s storage=2s\n")->start;
# Of the longest, a deletion of an account with a picture: three statements, each with a connection
# from the pool and connecting (libpq counts whole seconds, and one more), three commands to Redis, the
# storage; and this machine's other work. A swap with a rival has as many.
my $LIMIT = 4 * (1 + 3 + 1) + 3 * 0.5 + 2 * 2 + 5;

# Whether this request of a client removes the picture, or sets one.
sub removes {
    my ($i) = @_;

    return $i % 5 == 0;
}

sub swapper {
    my ($person) = @_;

    return sub {
        my ($i) = @_;
        my @picture = removes($i) ? ('DELETE') : ('PUT', png());

        return avatar(shift @picture, $person, $picture[0], port => $node->{port}, timeout => 60);
    };
}

# Sets a picture and deletes the account, the soft way and the hard way in turn, until it is told that
# it is gone; then the next account. Notes which one.
sub deleter {
    my ($accounts) = @_;
    my $at = 0;

    return sub {
        my $account = $accounts->[$at] or return;
        my %where = (token => $account->{token}, port => $node->{port}, timeout => 60);
        my $number = $at;

        avatar('PUT', $account, png(), %where);
        my $response = request('DELETE', $ME . ($at % 2 ? '?hard=true' : ''), %where);
        $at++ if $response->code =~ /^(?:200|401|403)$/;
        return ($response, $number);
    };
}

# An account with sessions, and a token of its own that can be revoked.
sub account {
    my $account = person();

    @{$account}{qw(jti session)} = ("crash-$account->{id}-$$", "refresh_token:$account->{email}:1");
    $account->{token} = token(sub => $account->{email}, jti => $account->{jti});
    redis('SET', $account->{session}, 1);
    return $account;
}

sub is_gone {
    my ($account) = @_;
    my $row = user_row($account->{id});

    return !$row || defined $row->{deleted_at};
}

# What is left of all clients' requests waits for its lease: that is over.
sub swept {
    return wait_for(60, sub {
        sleep 0.5;
        db()->do(q(UPDATE userprofile_journal SET lease = '2000-01-01' WHERE lease > now()));
        return !journal();
    });
}

storage('reset');
journal_clear();
db()->do('UPDATE users SET avatar_url = NULL WHERE avatar_url IS NOT NULL');

note "UP_SEED=$SEED UP_KILLS=$KILLS";
srand $SEED;
my @people = map { person() } 1 .. 4;
my @accounts = map { account() } 1 .. $ACCOUNTS;
# Two have a rival, two are alone.
my @swappers = (@people, @people[0, 1]);
my $load = UserProfile::Load->start((map { swapper($_) } @swappers), deleter(\@accounts));

ok($load->warm, 'all is well before');
my $lost = 0;
for (1 .. $KILLS) {
    sleep rand 0.7;
    db()->disconnect;
    servers()->stop_postgres('immediate');
    sleep rand 0.5;
    servers()->start_postgres;
    $lost++ unless $load->served_since(time);
}
is($lost, 0, "crashed $KILLS times at random: each client is served again, each time");
my @answers = $load->stop;

# What was answered by 503 may have been done: then the account is refused the next time.
my @deletions = grep { $_->{client} == @swappers } @answers;
is_bounded([grep { $_->{client} != @swappers || $_->{status} !~ /^40[13]$/ } @answers], $LIMIT,
    "crashed $KILLS times");
note 'deletions: ' . statuses(@deletions);
ok(swept(), 'the journal is empty after a sweep') or diag explain [journal()];

my @urls = @{db()->selectcol_arrayref('SELECT avatar_url FROM users WHERE avatar_url IS NOT NULL')};
is_deeply([sort(assets())], [sort map { asset_of($_) } @urls],
    'each picture belongs to one row, each row has its own');
for my $alone (2, 3) {
    my ($last) = sort { $b->{i} <=> $a->{i} } grep { $_->{client} == $alone } @answers;
    my $there = defined user_row($people[$alone]{id})->{avatar_url};

    is($last->{status}, 200, 'the last change of a picture is done');
    is($there, !removes($last->{i}), 'and is what the row has');
}

is(scalar(grep { $_->{status} eq '200' && !is_gone($accounts[$_->{note}]) } @deletions), 0,
    'each acknowledged deletion is done');
my ($gone, $here) = (0, 0);
my (@sessions, @tokens, @lacking);
for my $account (@accounts) {
    my $has = redis('EXISTS', $account->{session});
    if (is_gone($account)) {
        $gone++;
        push @sessions, $account->{id} if $has;
        push @tokens, $account->{id} if !redis('EXISTS', "blacklisted_access_token:$account->{jti}");
    }
    else {
        $here++;
        push @lacking, $account->{id} if !$has;
    }
}
note "$gone accounts are gone, $here are there";
cmp_ok($gone, '>', 0, 'some accounts are gone');
is("@sessions", '', 'none of them has a session');
is("@tokens", '', 'the token of each is revoked');
is("@lacking", '', 'each of the others has its session');

db()->do('DELETE FROM users WHERE id = ANY(?)', undef, [map { $_->{id} } @people, @accounts]);
storage('reset');
done_testing();
