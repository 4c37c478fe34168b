#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
#
# No memory: each allocation of a request by the module, jansson, libjwt and libcurl fails in turn,
# once alone and once with all behind it. The answer is what it would have been or an error of ours, no
# child crashes, no memory is lost, and the next request is served. What jansson or libjwt had no
# memory for is refused as what cannot be read, never accepted. (t/preload/scarce.c says why not APR's
# and hiredis'.)
use strict;
use warnings;
use Test::More;
use Time::HiRes qw(sleep);
use UserProfile::Avatar;
use UserProfile::Resources;
use UserProfile::Test;

plan skip_all => 'the address sanitizer has a malloc of its own' if is_sanitized();

# In the order of t/preload/scarce.c.
my ($ON, $AT, $REST, $SEEN, $LIVE) = 0 .. 4;
my $file = scratch() . "/scarce-$$";
spew($file, "\0" x 40);
my $command = httpd_in("export UP_SCARCE=$file LD_PRELOAD=" . scratch() . '/top/build/preload/scarce.so');

my $node = node(httpd => $command, more => <<'CONF')->start;
StartServers 1
ServerLimit 1
ThreadsPerChild 2
MaxRequestWorkers 2
CONF
my %here = (port => $node->{port});
my ($child) = children($node);

sub set {
    my (%number) = @_;

    open my $out, '+<:raw', $file or die "$file: $!\n";
    for my $i (keys %number) {
        seek $out, 8 * $i, 0;
        print {$out} pack 'q', $number{$i};
    }
    close $out or die "$file: $!\n";
    return;
}

sub number {
    my ($i) = @_;

    return (unpack 'q5', slurp($file))[$i];
}

# One request with its allocations counted, and that one failing.
sub scarce {
    my ($request, $at, $rest) = @_;

    set($SEEN => 0, $AT => $at // 0, $REST => $rest // 0);
    my $res = $request->();
    set($AT => 0, $REST => 0);
    return $res;
}

# A token of a person's that no request has brought before: another one would be known, and not be
# verified.
sub fresh {
    my ($person) = @_;

    return {%$person, token => token(sub => $person->{email})};
}

# --- What is asked for ----------------------------------------------------------------------------

my ($person, $other, $leaver) = map { person(full_name => 'Ada') } 1 .. 3;
my %request = (
    'GET' => sub { me('GET', token => fresh($person)->{token}, %here) },
    'a forged token' => sub { me('GET', token => fresh($person)->{token} =~ s/.{4}\z/AAAA/r, %here) },
    'PATCH, JSON' => sub {
        me('PATCH', token => fresh($person)->{token}, json => {full_name => "A\x{301}da", speaking_language => 'de-AT'}, %here);
    },
    'PATCH, no JSON' => sub {
        me('PATCH', token => fresh($person)->{token}, body => '{"full_name": [[[', type => 'application/json', %here);
    },
    'PATCH, multipart' => sub {
        me('PATCH', token => fresh($person)->{token}, form => [{name => 'full_name', body => 'Grace'}, part(png())], %here);
    },
    'PUT of an avatar' => sub { avatar('PUT', fresh($person), png(), %here) },
    'DELETE of an avatar' => sub {
        db()->do('UPDATE users SET avatar_url = NULL WHERE id = ?', undef, $other->{id});
        avatar('DELETE', fresh($other), undef, %here);
    },
    'DELETE' => sub {
        db()->do('UPDATE users SET deleted_at = NULL, is_active = true WHERE id = ?', undef, $leaver->{id});
        redis('FLUSHALL');
        me('DELETE', token => fresh($leaver)->{token}, %here);
    },
);

# Is this the usual answer, or an error's with a code and a sentence?
sub is_readable {
    my ($res, $want) = @_;

    return $res->code == $want || $res->code >= 400 && eval { json($res)->{code} && json($res)->{message} };
}

# What one failure leaves, ten leave ten times; what is kept for the next request is no more then. A
# request is tidied up after its answer, which a loaded machine may put off.
sub leaks {
    my ($request, $at, $rest) = @_;
    sleep 0.05;
    my $before = number($LIVE);

    for (1 .. 10) {
        scarce($request, $at, $rest);
        scarce($request);
    }
    return !wait_for(5, sub { number($LIVE) - $before < 10 });
}

set($ON => 1);
for my $name (sort keys %request) {
    my $request = $request{$name};
    # What is made once is made.
    my ($want) = map { scarce($request)->code } 1 .. 3;
    my $all = number($SEEN);
    my (%count, @odd, @leaks);

    for my $case (map { my $at = $_; [$at, 0], [$at, 1] } 1 .. $all) {
        my $is = "allocation $case->[0]" . ($case->[1] ? ' and those behind it' : '');
        my $before = number($LIVE);
        my $res = scarce($request, @$case);

        $count{$res->code}++;
        push @odd, "$is: " . $res->as_string unless is_readable($res, $want);
        # It also ends a row of failures, before the storage is no longer asked.
        my $next = scarce($request);
        push @odd, "after $is: " . $next->as_string if $next->code != $want;
        push @leaks, $is if number($LIVE) > $before && leaks($request, @$case);
    }
    ok($all > 0, "$name: $all allocations (" . join(', ', map { "$count{$_} times $_" } sort keys %count) . ')');
    is(scalar @odd, 0, '... each answer is the usual one or that of an error, and the next the usual one')
        or diag join "\n", @odd[0 .. ($#odd > 4 ? 4 : $#odd)];
    is(join("\n", @leaks), '', '... and nothing is left behind');
}
my $known = sub { me('GET', token => $person->{token}, %here) };
is(scarce($known)->code, 200, 'a token becomes known');
is(join(' ', scarce($known)->code, number($SEEN)), '200 0', 'a GET with it allocates nothing');
set($ON => 0);

is_deeply([children($node)], [$child], 'the child is the one that it was');
log_unlike(0, qr/exit signal/, 'none has crashed', $node->{error_log});
$node->stop;
done_testing();
