# SPDX-License-Identifier: Apache-2.0
package UserProfile::Bench::Rounds;

=head1 NAME

UserProfile::Bench::Rounds - measures several things in turn, and what they are to one another

=head1 SYNOPSIS

    my $rounds = UserProfile::Bench::Rounds->new(sides => [event => sub { ... }, go => sub { ... }]);
    $rounds->run(5);
    my @ratios = $rounds->ratios(sub { $_[0]{event} / $_[0]{go} });

=head1 DESCRIPTION

Each side is a sub that returns a number. They take turns, in each round in another order, so that what
else the machine does, and how warm it is, meets all of them; and a ratio is one of the same round.

=cut

use strict;
use warnings;
use Exporter qw(import);
use List::Util qw(shuffle);

our @EXPORT_OK = qw(median);

# sides: name => sub, ...; progress: a sub that is told what is done now.
sub new {
    my ($class, %self) = @_;
    my %sides = @{$self{sides}};

    return bless {%self, sides => \%sides, figures => []}, $class;
}

# Each once, for nothing.
sub warm {
    my ($self) = @_;

    for my $name (sort keys %{$self->{sides}}) {
        $self->{progress}->("warming up: $name") if $self->{progress};
        eval { $self->{sides}{$name}->(); 1 } or die "$name: $@";
    }
    return;
}

sub run {
    my ($self, $rounds) = @_;

    for my $round (1 .. $rounds) {
        my %figures;

        for my $name (shuffle sort keys %{$self->{sides}}) {
            $self->{progress}->("round $round of $rounds: $name") if $self->{progress};
            eval { $figures{$name} = $self->{sides}{$name}->(); 1 } or die "$name: $@";
        }
        push @{$self->{figures}}, \%figures;
    }
    return $self;
}

# What the sub makes of the figures of each round.
sub ratios {
    my ($self, $sub) = @_;

    return map { $sub->($_) } @{$self->{figures}};
}

# The median of a side.
sub figure {
    my ($self, $name) = @_;

    return median(map { $_->{$name} } @{$self->{figures}});
}

sub median {
    my @sorted = sort { $a <=> $b } @_;

    return @sorted % 2 ? $sorted[$#sorted / 2] : ($sorted[@sorted / 2 - 1] + $sorted[@sorted / 2]) / 2;
}

1;
