#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
#
# Changes of one avatar at once, beside one another and beside a deletion: whatever the order, at the
# end there is exactly one asset, or none, the row says so, and the journal is empty.
use strict;
use warnings;
use Test::More;
use UserProfile::Avatar;
use UserProfile::Test;

my $ROUNDS = 20;

storage('reset');
journal_clear();
my $mark = log_mark();
my $postgres_mark = postgres_log_mark();

# Makes the storage a little slow in a way that differs from round to round, so that the requests
# meet at each point of their way. In seconds.
sub disturb {
    my ($round) = @_;

    storage_fault('slow', on => 'upload', seconds => 0.01 * ($round % 5)) for 1 .. $round % 4;
    storage_fault('slow', on => 'destroy', seconds => 0.01 * ($round % 7)) for 1 .. $round % 3;
}

sub put {
    my ($person, @more) = @_;

    return begin_request('PUT', "$ME/avatar", token => $person->{token}, body => png(),
        type => 'image/png', @more);
}

# One check of what is left: the assets are what the row points at, and the journal is empty.
sub settled {
    my ($person, $name, @answers) = @_;
    my $row = user_row($person->{id});
    my $asset = $row ? asset_of($row->{avatar_url}) : undef;
    my ($assets, @journal) = (join(', ', assets()), journal());
    my @wrong;

    push @wrong, "the assets are $assets" unless $assets eq ($asset // '');
    push @wrong, 'the row has ' . ($row->{avatar_url} // 'NULL')
        if $row && defined $row->{avatar_url} && !defined $asset;
    push @wrong, "the journal has @journal" if @journal;
    push @wrong, 'an answer is ' . $_->as_string for @answers;
    ok(!@wrong, $name) or diag map { "  $_\n" } @wrong;
    return $asset;
}

# The answers that are none of these: "200", or "403 ACCOUNT_DELETED".
sub others {
    my ($allowed, @answers) = @_;

    return grep {
        my $is = $_->code == 200 ? 200 : $_->code . ' ' . ((json($_) // {})->{code} // '');
        !grep { $is eq $_ } @$allowed
    } @answers;
}

for my $count (2, 8) {
    subtest "$count swaps at once" => sub {
        my $person = person();

        storage('reset');
        for my $round (1 .. $ROUNDS) {
            disturb($round);
            my @answers = map { end_request($_) } map { put($person) } 1 .. $count;
            my $asset = settled($person, "round $round: exactly one asset, and the row points at it",
                others([200], @answers));
            my @seen = grep { defined } map { asset_of(json($_)->{avatar_url}) } @answers;

            ok((grep { $_ eq ($asset // '') } @seen), "round $round: one of the answers has it");
        }
    };
}

subtest 'swaps with If-Match: one wins' => sub {
    my $person = person();

    storage('reset');
    avatar('PUT', $person, png());
    for my $round (1 .. 5) {
        my $tag = me('GET', token => $person->{token})->header('ETag');
        my ($old) = assets();
        disturb($round);
        my @answers = map { end_request($_) } map { put($person, headers => {'If-Match' => $tag}) } 1 .. 4;

        is(scalar(grep { $_->code == 200 } @answers), 1, "round $round: one wins");
        my $asset = settled($person, "round $round: the others are 412",
            others([200, '412 PRECONDITION_FAILED'], @answers));
        isnt($asset, $old, "round $round: another asset than before");
    }
};

subtest 'a swap and text' => sub {
    my $person = person();

    storage('reset');
    for my $round (1 .. 10) {
        disturb($round);
        my $swap = begin_request('PATCH', $ME, token => $person->{token},
            form => [part(png()), {name => 'listening_language', body => $round % 2 ? 'de' : 'fr'}]);
        my @text = map { me('PATCH', token => $person->{token}, json => {full_name => "round $round, $_"}) } 1 .. 3;
        my @answers = (end_request($swap), @text);
        my $row = user_row($person->{id});

        settled($person, "round $round: one asset", others([200], @answers));
        is($row->{full_name}, "round $round, 3", "round $round: the text is the last");
        is($row->{listening_language}, $round % 2 ? 'de' : 'fr', "round $round: and the swap's is there");
    }
};

subtest 'a swap and DELETE …/avatar' => sub {
    my $person = person();

    storage('reset');
    for my $round (1 .. $ROUNDS) {
        my @requests;
        my $remove = sub { begin_request('DELETE', "$ME/avatar", token => $person->{token}) };

        disturb($round);
        push @requests, $round % 2 ? put($person) : $remove->();
        push @requests, $round % 2 ? $remove->() : put($person);
        push @requests, put($person), $remove->() if $round % 3 == 0;
        settled($person, "round $round: one asset or none",
            others([200], map { end_request($_) } @requests));
    }
};

my %deletion = (
    'a soft deletion' => ['', ['403 ACCOUNT_DELETED', '401 TOKEN_REVOKED']],
    'an erasure' => ['?hard=true', ['401 INVALID_CREDENTIALS', '401 TOKEN_REVOKED']],
);
for my $kind (sort keys %deletion) {
    my ($query, $refusals) = @{$deletion{$kind}};

    subtest "a swap and $kind" => sub {
        for my $round (1 .. $ROUNDS) {
            my $person = person();
            my $delete = sub { begin_request('DELETE', "$ME$query", token => $person->{token}) };
            my $other = {%$person, token => token(sub => $person->{email})};

            storage('reset');
            avatar('PUT', $person, png()) if $round % 2;
            disturb($round);
            my @requests = map { put($other) } 1 .. 1 + $round % 3;
            # At another point of the swap in each round.
            select undef, undef, undef, 0.004 * ($round % 8);
            my @deletions = map { $delete->() } 1 .. 1 + ($round % 4 == 0);
            my @answers = map { end_request($_) } @requests;
            my @ends = map { end_request($_) } @deletions;
            my $row = user_row($person->{id});

            is(scalar(grep { $_->code == 200 } @ends), 1, "round $round: the deletion succeeds, once");
            settled($person, "round $round: " . ($query ? 'nothing is left' : 'one asset or none'),
                others([200, @$refusals], @answers), others([200, @$refusals], @ends));
            ok($query ? !$row : $row && $row->{deleted_at}, "round $round: the account is deleted");
        }
    };
}

subtest 'erasures of an account at once' => sub {
    for my $round (1 .. 5) {
        my $person = person();

        storage('reset');
        avatar('PUT', $person, png());
        my @answers = map { end_request($_) } map {
            begin_request('DELETE', "$ME?hard=true", token => token(sub => $person->{email}))
        } 1 .. 4;
        is(scalar(grep { $_->code == 200 } @answers), 1, "round $round: one succeeds");
        settled($person, "round $round: nothing is left", others([200, '401 INVALID_CREDENTIALS'], @answers));
        is(scalar(grep { /^destroy/ } calls()), 1, "round $round: the asset is destroyed once");
    }
};

if (!embedded) {
    my $log = postgres_log_since($postgres_mark);
    unlike($log, qr/deadlock/i, "no deadlock in Postgres' log");
    unlike($log, qr/\b(?:ERROR|FATAL|PANIC):/, 'nor another error');
}
log_unlike($mark, qr/\[userprofile:(?:error|warn)\]/, "no error in httpd's");

subtest 'a sweep ends the swap of a request that sleeps' => sub {
    my $person = person();
    my $sweeper = node(defines => {USERPROFILE_SWEEP => 1})->start;

    storage('reset');
    avatar('PUT', $person, png());
    storage_fault('slow', on => 'destroy', seconds => 3);
    my $request = put($person);
    ok(wait_for(5, sub { (calls())[-1] =~ /^destroy/ }), 'while the old asset is deleted');
    # As if this had taken a minute.
    db()->do('UPDATE userprofile_journal SET lease = ? WHERE effect = ?', undef, journal_time('2000-01-01'), 'publish');
    ok(wait_for(10, sub { defined user_row($person->{id})->{avatar_url} }), 'a sweep sets the URL');
    ok(!is_answered($request), 'before the request does');
    my $res = end_request($request);
    is_profile($res, {avatar_url => user_row($person->{id})->{avatar_url}}, 'and the request agrees');
    ok(wait_for(5, sub { !journal() }), 'the journal becomes empty');
    settled($person, 'the asset is there');

    # And while it is uploaded: what the sweep has destroyed is not set.
    my ($before) = assets();
    storage_fault('slow', on => 'upload', seconds => 3);
    $request = put($person);
    ok(wait_for(5, sub { assets() == 2 }), 'while a new one is uploaded');
    my ($new) = grep { $_ ne $before } assets();
    db()->do('UPDATE userprofile_journal SET lease = ? WHERE effect = ?', undef, journal_time('2000-01-01'), 'upload');
    ok(wait_for(10, sub { (calls())[-1] eq "destroy $new" }), 'a sweep destroys it, as nobody\'s');
    ok(!is_answered($request), 'before the request goes on');
    is_error(end_request($request), 503, 'SERVICE_UNAVAILABLE', 'which is refused then');
    is(asset_of(user_row($person->{id})->{avatar_url}), $before, 'the picture before it stays');
    ok(wait_for(5, sub { !journal() }), 'the journal becomes empty');
    settled($person, 'and so does the storage');
    $sweeper->stop;
};

storage('reset');

done_testing();
