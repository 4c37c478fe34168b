# SPDX-License-Identifier: Apache-2.0
package UserProfile::Lanes;

=head1 NAME

UserProfile::Lanes - places for tests to run side by side

=head1 SYNOPSIS

    open_lane();                        # in a lane's process, when all its servers have started
    lanes_are_open() or die;            # before the first job
    exit run_in_free_lane('t/10-read.t');   # a job of the harness
    for my $dir (lanes()) { ... }       # in the last tests: what all have left

=head1 DESCRIPTION

A lane is a folder (L<UserProfile::Scratch>) with servers that listen on ports of their own. Tests of
one lane run after one another, so that none meets another's rows and log lines. $UP_LANES names the
folders of all, the harness' own first; a lane's environment is in its file C<lane>, on which a job
that runs there has a lock.

=cut

use strict;
use warnings;
use Exporter qw(import);
use Fcntl qw(LOCK_EX LOCK_NB);
use JSON::PP ();
use Time::HiRes qw(sleep time);
use UserProfile::Process qw(slurp spew);

our @EXPORT_OK = qw(lanes open_lane lanes_are_open run_in_free_lane);

# In seconds: longer than a lane's servers need to start, under a sanitizer too.
my $START_TIME = 180;

sub lanes {
    return split /:/, $ENV{UP_LANES};
}

# Makes this process' lane one that jobs can run in.
sub open_lane {
    my $file = "$ENV{UP_SCRATCH}/lane";

    spew("$file.new", JSON::PP->new->utf8->encode({%ENV}));
    rename "$file.new", $file or die "$file: $!\n";
    return;
}

# Waits for all of them. Returns whether they are.
sub lanes_are_open {
    my $end = time + $START_TIME;

    for my $dir (lanes()) {
        until (-e "$dir/lane") {
            return 0 if time > $end;
            sleep 0.05;
        }
    }
    return 1;
}

# Runs one test where no other one runs. Returns its exit status. There are as many jobs at once as
# there are lanes, so that one is free, or about to be.
sub run_in_free_lane {
    my ($test) = @_;

    while (1) {
        for my $dir (lanes()) {
            open my $lane, '+<', "$dir/lane" or die "$dir/lane: $!\n";
            flock $lane, LOCK_EX | LOCK_NB or next;
            return _run($dir, $test);
        }
        sleep 0.02;
    }
}

sub _run {
    my ($dir, $test) = @_;
    my @command = $test =~ /\.t\z/ ? ($^X, $test) : $test;

    %ENV = %{JSON::PP->new->utf8->decode(slurp("$dir/lane"))};
    chdir "$dir/top" or die "$dir/top: $!\n";
    system {$command[0]} @command;
    return $? & 127 ? 128 + ($? & 127) : $? >> 8;
}

1;
