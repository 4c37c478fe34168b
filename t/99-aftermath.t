#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
#
# What all the tests before have left behind: no crash, no sanitizer's report, no secret in a log.
use strict;
use warnings;
use Test::More;
use UserProfile::Crash qw(crash_trace is_httpds_own);
use UserProfile::Lanes qw(lanes);
use UserProfile::Test;

my @lanes = lanes();
my @logs = grep { -e } map { ("$_/top/t/logs/error_log", glob "$_/node-*/error_log") } @lanes;
my @reports = grep { -s } map { glob "$_/sanitizer/*" } @lanes;
my $servers = servers();

# A child that a test has killed on purpose died of another signal.
my $crash = qr/AH0005[012]: .*child pid \d+ exit signal (?:Segm|Abort|Bus|Illegal|Floating|Bad system|Trace).*/;
my %secret = (
    (map { my $file = $_; ("the secret $file" => slurp($file) =~ s/\n\z//r) } map { glob "$_/keys/*.key" } @lanes),
    'the secret of the storage' => $servers->{storage_secret},
    'a password' => $UserProfile::Test::HASH,
);

# httpd's parent looks once a second for children that have died.
sleep 2;

is(scalar @reports, 0, 'no sanitizer has reported anything');
diag(slurp($_)) for @reports;

for my $log (@logs) {
    my $text = slurp($log);
    my $name = $log =~ s{^.*?/(?=top/|node-)}{}r;

    my @crashes = $text =~ /$crash/g;
    is(join("\n", grep { !is_httpds_own($_) } @crashes), '', "$name: no child has crashed")
        or diag(map { crash_trace($_) } @crashes);
    # That of undefined behaviour writes to standard error, whatever its options say.
    is(join('', $text =~ /^.*: runtime error: .*\n/mg), '', "$name: no undefined behaviour");
    unlike($text, qr/\beyJ[\w-]{8,}\.[\w-]{8,}/, "$name: no token");
    # Not by unlike(), which would print the secret.
    ok(index($text, $secret{$_}) < 0, "$name: not $_") for sort keys %secret;
}

done_testing();
