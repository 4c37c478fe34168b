#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
#
# A storage that has failed five times in a row is left alone: uploads are refused at once, with
# Retry-After and without a word in the journal, until one of them, which is let through, succeeds.
# The log says when that begins and when it is over. All processes count together. All else is served,
# deletions are tried, and the journal is swept, revocations first.
use strict;
use warnings;
use Test::More;
use Time::HiRes qw(time sleep);
use UserProfile::Avatar;
use UserProfile::Test;

# What it journals is under its lease for a minute.
my $node = node(defines => {USERPROFILE_SWEEP => 1},
    more => "UserProfileTimeout connect=1s storage=20s\n")->start;
my %at = (port => $node->{port});

sub put {
    my ($person, %option) = @_;

    return avatar('PUT', $person, png(), %at, %option);
}

# How often the storage was asked to upload something.
sub uploads {
    return scalar grep { /^upload/ } calls();
}

# The lines of the log that say that it is left alone, and that it is used again.
sub begun_and_over {
    my ($mark) = @_;
    my $log = log_since($mark, $node->{error_log});

    return join ' ', scalar(() = $log =~ /several times in a row: uploads are refused/g),
        scalar(() = $log =~ /the avatar storage takes uploads again, after \d+ s/g);
}

# Uploads until the storage is left alone for at least so many seconds, and returns when that was
# said. Each one that is let through finds a storage that answers 500.
sub leave_alone_for {
    my ($person, $seconds) = @_;

    storage_fault('status', on => 'upload', status => 500, count => 1000);
    for (1 .. 1000) {
        my $res = put($person);
        my $said = $res->header('Retry-After') // 0;

        return {until => time + $said} if $res->code == 502 && $said >= $seconds;
        sleep 0.1;
    }
    die "the storage is never left alone for $seconds s\n";
}

storage('reset');
journal_clear();

subtest 'it opens after five failures in a row' => sub {
    my $person = person();
    my $mark = log_mark($node->{error_log});

    storage_fault('status', on => 'upload', status => 500, count => 4);
    is_error(put($person), 502, 'STORAGE_UPLOAD_ERROR', "failure $_") for 1 .. 4;
    is(put($person)->code, 200, 'a success between');
    storage_fault('status', on => 'upload', status => 500, count => 4);
    is_error(put($person), 502, 'STORAGE_UPLOAD_ERROR', "failure $_ after it") for 1 .. 4;
    is(begun_and_over($mark), '0 0', 'nothing is said yet');

    # A picture that is refused, by a storage that works.
    storage_fault('status', on => 'upload', status => 400, count => 10);
    for (1 .. 10) {
        my $res = put($person);
        is_error($res, 502, 'STORAGE_UPLOAD_ERROR', "refused picture $_");
        is($res->header('Retry-After'), undef, 'to be sent again is of no use');
    }
    is(uploads(), 19, 'all were tried');

    storage_fault('status', on => 'upload', status => 503, count => 5);
    for (1 .. 5) {
        my $res = put($person);
        is_error($res, 502, 'STORAGE_UPLOAD_ERROR', "failure $_ in a row");
        is($res->header('Retry-After'), 1, 'with Retry-After');
    }
    is(begun_and_over($mark), '1 0', 'that it is left alone is said once');
    log_like($mark, qr/\[userprofile:error\].*uploads are refused \(502\).*in 1 s.*last failure: Cloudinary: .*HTTP 503/,
        'with the reason, loudly', $node->{error_log});
    storage('reset');
    ok(wait_for(20, sub { put($person)->code == 200 }), 'and so it recovers');
    is(begun_and_over($mark), '1 1', 'which is said once');
    log_like($mark, qr/\[userprofile:notice\].*takes uploads again/, 'as a notice', $node->{error_log});
    is(put($person)->code, 200, 'and all is as before');
    is(begun_and_over($mark), '1 1', 'without a word');
    is(scalar(grep { !/^upload/ } journal()), 0, 'in the journal are failed uploads only');
    journal_clear();
};

subtest 'while it is open' => sub {
    my ($person, $owner, $deleted) = (person(full_name => 'Ada'), person(), person(is_active => 'f', deleted_at => '2026-01-01'));
    my $mark = log_mark($node->{error_log});

    is(put($owner)->code, 200, 'a picture before');
    my $asset = asset_of(user_row($owner->{id})->{avatar_url});
    my $row = unchanged_row($person->{id});
    my $alone = leave_alone_for($person, 8);
    my $count = uploads();
    journal_clear();

    my $res = me('PATCH', token => $person->{token}, %at,
        form => [part(png()), {name => 'full_name', body => 'Grace'}]);
    is_error($res, 502, 'STORAGE_UPLOAD_ERROR', 'an upload is refused');
    cmp_ok($res->header('Retry-After'), '<=', 8, 'Retry-After is what is left of the time');
    cmp_ok($res->header('Retry-After'), '>=', 1, 'a second at least');
    my ($id) = json($res)->{message} =~ /error-log ID (\S+?)\)/;
    log_like($mark, qr/\[\Q$id\E\].*storage was not asked.*tried again in \d+ s/, 'the log has a line of it',
        $node->{error_log});
    is_deeply([journal()], [], 'nothing is announced');
    is(unchanged_row($person->{id}), $row, 'the row is as it was');

    is_error(put($deleted), 403, 'ACCOUNT_DELETED', 'a deleted account is told so');
    is_error(put($person, headers => {'If-Match' => '"0"'}), 412, 'PRECONDITION_FAILED', 'another tag, too');
    is_error(avatar('PUT', $person, 'text', %at), 400, 'INVALID_FILE_TYPE', 'and what is no picture');
    is_profile(me('PATCH', token => $person->{token}, %at, json => {full_name => 'Grace'}), {full_name => 'Grace'},
        'text is written');
    is(uploads(), $count, 'and the storage was not asked');

    is_profile(avatar('DELETE', $owner, undef, %at), {avatar_url => undef}, 'an avatar is removed');
    is_deeply([grep { $_ eq $asset } assets()], [], 'and its asset deleted, at once');
    is_deeply([journal()], [], 'an empty journal');
    is(begun_and_over($mark), '1 0', 'the log has said it once');
    my $left = $alone->{until} - time;
    cmp_ok($left, '>', 0, sprintf 'all that within the time (%.1f s are left)', $left);
};

# From the subtest before it is open still.
subtest 'one tries it again' => sub {
    my ($person, $other) = (person(), person());
    my $mark = log_mark($node->{error_log});
    my $probe;

    storage('reset');
    storage_fault('slow', on => 'upload', seconds => 6);
    ok(wait_for(30, sub {
        $probe = begin_request('PUT', "$ME/avatar", token => $person->{token}, %at, body => png(),
            type => 'image/png');
        return 1 if wait_for(30, sub { is_answered($probe) || uploads() }) && !is_answered($probe);
        end_request($probe);
        return 0;
    }), 'when the time is over one upload is let through');
    is(uploads(), 1, 'one');
    my $res = put($other);
    is_error($res, 502, 'STORAGE_UPLOAD_ERROR', 'and no other while it lasts');
    is(uploads(), 1, 'one still');
    ok(!is_answered($probe), 'at once');
    is_profile(end_request($probe), {}, 'it succeeds');
    is_profile(put($other), {}, 'and so does the other then');
    is(begun_and_over($mark), '0 1', 'the log says that it is over');
    is_deeply([journal()], [], 'an empty journal');
};

subtest 'the journal is swept meanwhile' => sub {
    my $person = person();

    leave_alone_for($person, 4);
    ok(scalar(journal()), 'failed uploads are in the journal');
    db()->do(q(UPDATE userprofile_journal SET lease = '2000-01-01', created_at = '2000-01-01'));
    my $count = uploads();
    ok(wait_for(20, sub { !journal() }), 'a sweep empties it');
    is(uploads(), $count, 'and has uploaded nothing');
    cmp_ok(scalar(grep { /^destroy/ } calls()), '>=', 5, 'but deleted what may have been stored');
};

# Each of three assets to delete takes the storage's 20 s.
subtest 'revocations do not wait for it' => sub {
    storage('reset');
    storage_fault('hang', on => 'destroy', seconds => 60, count => 3);
    db()->begin_work;
    db()->do(q(INSERT INTO userprofile_journal (contract, effect, asset, owner, lease)
        VALUES ('users', 'upload', 'avatars/' || repeat(?, 32), 'elsewhere:1:1', '2000-01-01')), undef, $_)
        for 'a' .. 'c';
    db()->do(q(INSERT INTO userprofile_journal (contract, effect, jti, expires, owner, lease)
        VALUES ('users', 'revoke_token', 'hurried', '2100-01-01', 'elsewhere:1:1', '2000-01-01')));
    db()->commit;
    ok(wait_for(19, sub { redis('EXISTS', 'blacklisted_access_token:hurried') }), 'a token is revoked at once');
    ok(wait_for(5, sub { !grep { /^revoke/ } journal() }), 'and that is struck out of the journal');
    is(scalar(grep { /^upload/ } journal()), 3, 'while the storage hangs');
    journal_clear();
};

storage('reset');
done_testing();
