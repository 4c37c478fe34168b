#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
#
# Of clients that send the same entity tag at once with a new avatar, or a new name, exactly one wins,
# also where the user has no avatar yet and so the tag stays the same in the middle of a swap.
use strict;
use warnings;
use POSIX ();
use Test::More;
use UserProfile::Test;

my $ROUNDS = 12;

sub at_once {
    my (@requests) = @_;
    my @pipes;

    for my $request (@requests) {
        pipe my $in, my $out or die "pipe: $!\n";
        my $pid = fork // die "fork: $!\n";
        if (!$pid) {
            print {$out} eval { $request->()->code } || 'none';
            close $out;
            POSIX::_exit(0);
        }
        push @pipes, [$pid, $in];
    }
    my @status = map { my $status = readline $_->[1]; waitpid $_->[0], 0; $status } @pipes;
    return join ' ', sort @status;
}

storage('reset');
my %seen;
for (1 .. $ROUNDS) {
    my $user = user_new();
    my $token = token(sub => $user->{email});
    my %if_match = ('If-Match' => me('GET', token => $token)->header('ETag'));
    my $avatar = sub {
        request('PUT', "$ME/avatar", token => $token, body => png(), type => 'image/png',
            headers => {%if_match});
    };
    my $name = sub {
        me('PATCH', token => $token, json => {full_name => "Name $$"}, headers => {%if_match});
    };
    $seen{at_once($avatar, $avatar, $name, $avatar, $name)}++;
}
is_deeply(\%seen, {'200 412 412 412 412' => $ROUNDS}, "one of five wins, $ROUNDS times")
    or diag explain \%seen;

my ($left) = db()->selectrow_array('SELECT count(*) FROM userprofile_journal');
is($left, 0, 'nothing is left in the journal');

done_testing();
