#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
#
# What takes long shows on a terminal that it goes on, and in a pipe is quiet: building, installing
# Debian's packages, fuzzing. script(1) is the terminal.
use strict;
use warnings;
use Test::More;
use UserProfile::Process qw(run_quietly);
use UserProfile::Test;

my $dir = scratch() . "/progress-$$";
mkdir $_ or die "$_: $!\n" for $dir, map { "$dir/$_" } qw(bin fuzz fuzz/fuzzer);

# As somebody at a keyboard would have it, and not what this test was started by.
delete @ENV{grep { /^(?:MAKE|MFLAGS|V$|BUILD|MODULE)/ } keys %ENV};
$ENV{TERM} = 'xterm';

# What a command prints, in a pipe or on a terminal, and whether it succeeds.
sub said {
    my ($where, $command) = @_;

    spew("$dir/command", "$command\n");
    my $run = $where eq 'terminal' ? "script -qec 'sh $dir/command' /dev/null </dev/null 2>&1" : "sh $dir/command 2>&1 </dev/null";
    my $said = `$run`;
    return ($said =~ s/\r\n/\n/gr, $? == 0);
}

sub program {
    my ($name, $text) = @_;

    spew("$dir/$name", "#!/bin/sh\n$text");
    chmod 0755, "$dir/$name";
    return;
}

# --- Building -------------------------------------------------------------------------------------

for my $case (
    ['terminal', '', qr{\A  CC   src/core/wipe\.c\n\z}],
    ['pipe', '', qr{\A\z}],
    ['pipe', 'V=1', qr{ -c -o \S+ src/core/wipe\.c\n\z}],
) {
    my ($where, $verbose, $pattern) = @$case;
    my ($said, $good) = said($where, "make BUILD=$dir/build $verbose -B $dir/build/obj/src/core/wipe.o");

    ok($good, "make $verbose, $where: builds");
    like($said, $pattern, '... and says what it should');
}

# --- Installing -----------------------------------------------------------------------------------

# Nothing is installed, apt-get says a word, and sudo is root.
program('bin/dpkg-query', 'exit 1');
program('bin/apt-cache', 'exit 0');
program('bin/sudo', 'exec "$@"');
program('bin/apt-get', "echo \"Unpacking: \$*\"\n[ -z \"\$APT_FAILS\" ] || { echo 'E: no mirror' >&2; exit 100; }\n");
for my $case (['terminal', qr/^Unpacking: (?!.*-qq).* install -y .*\bapache2-dev\b/m], ['pipe', qr/\A(?!.*Unpacking)/s]) {
    my ($where, $pattern) = @$case;
    my ($said, $good) = said($where, "PATH=$dir/bin:\$PATH make --no-print-directory deps");

    ok($good, "make deps, $where: installs");
    like($said, qr/^Installing Debian packages: .*\bapache2-dev\b/m, '... says what');
    like($said, $pattern, '... and shows apt-get at work, or not');
    ($said, $good) = said($where, "PATH=$dir/bin:\$PATH APT_FAILS=1 make --no-print-directory deps");
    ok(!$good, '... fails where apt-get does');
    like($said, qr/^E: no mirror$/m, '... with its words');
}

# --- Fuzzing --------------------------------------------------------------------------------------

program('fuzz/fuzzer/text', "echo '#7 NEW cov: 5 ft: 9 corp: 3/9b'\necho 'stat::number_of_executed_units: 9'\n");
for my $case (['terminal', qr/\rtext: 7 executions, 5 edges, 3 inputs/], ['pipe', qr/\A(?!.*\btext: 7)/s]) {
    my ($where, $pattern) = @$case;
    my ($said, $good) = said($where, "$^X t/fuzz/run --build=$dir/fuzz --time=1 text");

    ok($good, "make fuzz, $where: runs");
    like($said, $pattern, '... and shows how it goes, or not');
    like($said, qr/^(?:.*\r)?text: +9 executions, 5 edges, 3 inputs in the corpus, 0 findings$/m, '... and in the end what came of it');
}

done_testing();
