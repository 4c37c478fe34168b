#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
#
# How many instructions httpd and the module need for a request, as callgrind counts them: a guard against
# what makes the module slower without anybody seeing it, as seconds would be another machine's. They are
# compared with those of t/instructions.txt, where processor, compiler and libraries are those of the
# record. `make record` writes down new ones.
use strict;
use warnings;
use IO::Select ();
use IO::Socket::INET ();
use Test::More;
use UserProfile::Avatar;
use UserProfile::Picture ();
use UserProfile::Resources qw(is_sanitized);
use UserProfile::Process qw(run_quietly);
use UserProfile::Test;

my $RECORD = 't/instructions.txt';
my $TOLERANCE = 0.05;
# The first request of a kind prepares a statement and the like. Of the others the one with the second fewest counts:
# an answer of Postgres comes in two pieces now and then, or all of a body in one.
my $TIMES = 8;

# What else the count depends on. Those of the packages are Debian's versions.
my @PACKAGES = qw(apache2-bin libapr1 libaprutil1 libc6 libcurl4 libhiredis0.14 libjansson4 libjwt0 libpq5 libssl3
    libutf8proc2 valgrind);

plan skip_all => 'other instructions are counted too, those of the sanitizer, valgrind or gcov' if is_sanitized();
plan skip_all => 'no valgrind' if system('valgrind --version >/dev/null 2>&1') != 0;
my $here = surroundings();
my $record = -e $RECORD ? read_record() : {};
if (!$ENV{UP_RECORD}) {
    my @other = grep { ($record->{$_} // '') ne $here->{$_} } sort keys %$here;
    plan skip_all => 'not the surroundings of t/instructions.txt: '
        . join '; ', map { "$_ is $here->{$_}, not " . ($record->{$_} // 'recorded') } @other if @other;
}
alarm 300;

# --- What is compared -----------------------------------------------------------------------------

sub surroundings {
    my ($cpu) = split /\n\n/, slurp('/proc/cpuinfo');
    my %cpu = $cpu =~ /^([^\t:]+)\t*: (.*)$/mg;
    my %is = (processor => "$cpu{'model name'}, family $cpu{'cpu family'}, model $cpu{model}");

    for (@PACKAGES) {
        $is{$_} = eval { run_quietly('dpkg-query', '-W', '-f=${Version}', $_) } // 'not there';
    }
    ($is{compiler}) = (eval { run_quietly('readelf', '--debug-dump=info', '--dwarf-depth=1', 'mod_userprofile.so') } // '')
        =~ /DW_AT_producer.*: (GNU C.*|.*clang.*)$/m;
    $is{compiler} //= 'unknown';
    return \%is;
}

sub read_record {
    return {slurp($RECORD) =~ /^([^#:\n]+): (.*)$/mg};
}

sub write_record {
    my (%figures) = @_;

    spew($RECORD, "# Instructions of a request, and what they depend on: t/80-instructions.t. Written by `make record`.\n"
            . join '', map { "$_: $figures{$_}\n" } sort keys %figures);
    return;
}

# --- Counting -------------------------------------------------------------------------------------

my $dir = scratch() . '/instructions';
mkdir $_ or die "$_: $!\n" for $dir, "$dir/pictures";
# Each request's count is a file. Only what is done between reading its head and the end of its answer is counted.
spew("$dir/httpd", <<"SH");
#!/bin/sh
exec valgrind --tool=callgrind --toggle-collect=ap_process_request --dump-after=ap_process_request \\
    --callgrind-out-file=$dir/counted.%p --log-file=$dir/log.%p /usr/sbin/apache2 "\$@"
SH
chmod 0755, "$dir/httpd";
my $node = node(mpm => 'prefork', httpd => "$dir/httpd", patience => 120,
    defines => {USERPROFILE_AVATARS => "file://$dir/pictures?url=/avatars"}, more => <<'CONF')->start;
LogLevel warn
StartServers 1
MinSpareServers 1
MaxSpareServers 1
ServerLimit 1
MaxRequestWorkers 1
MaxKeepAliveRequests 0
KeepAliveTimeout 60
CONF
my $person = person(full_name => 'Ada Lovelace', speaking_language => 'en', listening_language => 'fr');
my ($type, $form) = multipart([part(UserProfile::Picture::png(60_000, 'abc'))], boundary => 'b' x 30);
my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $node->{port}) or die "connect: $!\n";

sub ask {
    my ($method, $type, $body) = @_;
    my $answer = '';

    print {$socket} "$method $ME HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer $person->{token}\r\n"
        . ($type ? "Content-Type: $type\r\nContent-Length: " . length($body) . "\r\n\r\n$body" : "\r\n");
    $socket->flush;
    until ($answer =~ /\AHTTP.*?^Content-Length: (\d+)\r\n.*?\r\n\r\n(.*)\z/ms && length $2 == $1) {
        IO::Select->new($socket)->can_read(60) && sysread $socket, $answer, 65_536, length $answer
            or die "$method is not answered: $answer\n";
    }
    $answer =~ m{\AHTTP/1.1 200 } or die "$method is answered by $answer\n";
    return;
}

# The counts so far.
sub counted {
    return map { slurp($_) =~ /^totals: (\d+)$/m } sort { ($a =~ /(\d+)\z/)[0] <=> ($b =~ /(\d+)\z/)[0] }
        grep { /\.\d+\.\d+\z/ } glob "$dir/counted.*";
}

my @KINDS = (
    ['a GET', 'GET'],
    ['a PATCH', 'PATCH', 'application/json', '{"full_name":"Ada Lovelace"}'],
    ['an upload', 'PATCH', $type, $form],
);
for my $kind (@KINDS) {
    ask(@$kind[1 .. $#$kind]) for 1 .. $TIMES;
}
close $socket;
# Its last count is whole when it has ended.
$node->stop;
my @counted = counted();
splice @counted, 0, @counted - @KINDS * $TIMES;

# --- Comparing ------------------------------------------------------------------------------------

my %now;
for my $kind (map { $_->[0] } @KINDS) {
    my (undef, @counts) = splice @counted, 0, $TIMES;

    note("$kind: @counts");
    $now{$kind} = (sort { $a <=> $b } @counts)[1];
}
if ($ENV{UP_RECORD}) {
    write_record(%$here, %now);
    $record = read_record();
}
for my $kind (sort keys %now) {
    my $more = ($record->{$kind} // 0) > 0 ? $now{$kind} / $record->{$kind} - 1 : 1;
    my $text = sprintf '%s takes %d instructions, %.1f %% %s than the %s of %s', $kind, $now{$kind}, 100 * abs $more,
        $more < 0 ? 'fewer' : 'more', $record->{$kind} // 0, $RECORD;

    cmp_ok($now{$kind}, '<=', ($record->{$kind} // 0) * (1 + $TOLERANCE), "$kind takes as many instructions as recorded")
        or diag("$text. Where they are spent: KEEP=1 make test T=t/80-instructions.t, then callgrind_annotate of a file "
            . "instructions/counted.* there. If it is worth them, `make record` writes down the new figures.");
    diag("$text: `make record` writes that down.") if $more < -$TOLERANCE;
}

done_testing();
