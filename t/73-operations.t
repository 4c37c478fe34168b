#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
#
# docs/operations.md has every line that the module writes to the log, and no other; and
# docs/reliability.md names a test for each promise, which there is.
use strict;
use warnings;
use Test::More;
use UserProfile::Test;

# A conversion of printf, with APR's formats between two literals.
my $FORMAT = qr/%(?:-?\d*(?:\.\*)?(?:l|z|h)*[a-zA-Z]|p[a-zA-Z])/;

# C without its comments, its adjacent literals joined; APR's and our own macros among them are "…".
sub source {
    my ($file) = @_;
    my $text = slurp($file);

    $text =~ s{/\*.*?\*/}{}gs;
    $text =~ s/%" APR_\w+_FMT\s*"/…/g;
    $text =~ s/"\s*UP_VERSION\s*"/…/g;
    1 while $text =~ s/((?<!\\)"(?:[^"\\\n]|\\.)*)"\s+"/$1/;
    return $text;
}

# The lines of a file's calls that log, conversions as "…".
sub logged {
    my ($file) = @_;
    my @lines = source($file) =~
        /\b(?:up_problem_logged|ap_log_r?error)\((?:[^";]|(?<=\?)")*?"((?:[^"\\]|\\.)*)"/g;

    return map { s/\\"/"/gr } grep { /\w/ } map { s/$FORMAT/…/gr =~ s/^userprofile: //r } @lines;
}

# Has a line of the log this row? Its parts between "…" stand in it, in their order.
sub is_row_of {
    my ($row, $line) = @_;
    my $pattern = join '.*', map { quotemeta } grep { length } split /…/, $row;

    return $line =~ /^(?:…)*$pattern/ || $line =~ /^(?:… ?)*$pattern/;
}

my @rows = map { /^\| `([^`]+)` \|/ ? $1 : () } split /^/, slurp('docs/operations.md');
my @lines = map { logged($_) } 'mod_userprofile.c', glob 'src/*/*.c';

cmp_ok(scalar @lines, '>', 25, 'lines of the log are found in the source');
for my $line (@lines) {
    # What is only handed on has its row where it is made.
    next if $line =~ /^(?:…|[ \[\]();]|at the start:|in server)*$/;
    ok((grep { is_row_of($_, $line) } @rows), "docs/operations.md has: $line");
}

my $all = join "\n", map { source($_) =~ s/$FORMAT/…/gr } 'mod_userprofile.c', glob 'src/*/*.c';
for my $row (@rows) {
    my @missing = grep { length && index($all, s/`//gr) < 0 } map { s/^\s+|\s+$//gr }
        map { split /…/ } $row =~ s/^userprofile …: //r;

    is("@missing", '', "the source has: $row");
}

for my $row (grep { /^\|/ && !/^\| (?:fault|where|---)|^\|---/ } split /^/, slurp('docs/reliability.md')) {
    my ($what) = $row =~ /^\| (.*?) \|/;
    my @tests = $row =~ m{`((?:t|build/unit)/[\w-]+(?:\.t)?)`}g;
    my @missing = grep { !-e s{^build/unit/(.*)}{t/unit/$1.c}r } @tests;

    ok(@tests && !@missing, "docs/reliability.md, $what: its tests are there") or diag "@missing";
}

done_testing();
