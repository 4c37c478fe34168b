#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
#
# No place for a picture on its way: 503, nothing changed, nothing left, and the log names the folder
# and what to do. The folder is a file system of its own that is full, one that may not be written,
# one that is not there; or the file may not become as large as the picture is.
use strict;
use warnings;
use Test::More;
use UserProfile::Avatar;
use UserProfile::Resources;
use UserProfile::Test;

my $dir = scratch() . "/spool-$$";
mkdir $dir or die "$dir: $!\n";

# An account of one's own may mount within namespaces of its own, where the kernel lets it.
my $UNSHARE = 'unshare --user --map-root-user --mount --';
my $may_mount = system("$UNSHARE mount -t tmpfs none $dir >/dev/null 2>&1") == 0;

sub is_refused {
    my ($node, $person, $picture, $why, $name) = @_;
    my %here = (port => $node->{port});
    my $before = unchanged_row($person->{id});
    my %way = (
        'raw' => sub { avatar('PUT', $person, $picture, %here) },
        'by PATCH, with a name' => sub {
            me('PATCH', token => $person->{token}, form => [{name => 'full_name', body => 'Grace'}, part($picture)],
                %here);
        },
    );

    for my $way (sort keys %way) {
        my $mark = log_mark($node->{error_log});
        storage('reset');
        my $res = $way{$way}->();
        is_error($res, 503, 'SERVICE_UNAVAILABLE', "$name: $way");
        unlike($res->as_string, qr/$dir|space|tmp/i, "$name: $way: the client is not told of the folder");
        is(unchanged_row($person->{id}), $before, "$name: $way: the row is as it was");
        is_deeply([calls()], [], "$name: $way: nothing is sent to the storage");
        is_deeply([journal()], [], "$name: $way: the journal is empty");
        log_like($mark, qr/\[userprofile:error\].*temporary file.* in \Q$dir\E\S*: $why; .*TMPDIR/,
            "$name: $way: the log names the folder, the cause and what to do", $node->{error_log});
    }
    is_profile(me('GET', token => $person->{token}, %here), {full_name => 'Ada'}, "$name: the rest is served");
    is_profile(me('PATCH', token => $person->{token}, json => {full_name => 'Ada'}, %here), {}, "$name: JSON is taken");
    is(scalar(grep { descriptors($_)->{files} } children($node)), 0, "$name: no file is open");
    return;
}

journal_clear();

SKIP: {
    skip 'this account may not mount in a namespace of its own', 1 unless $may_mount;

    subtest 'a file system that is full' => sub {
        my $disk = "$dir/disk";
        mkdir $disk;
        # It is seen in that namespace only; from outside, through a process that is in it.
        my $node = node(httpd => httpd_in(<<"SH"))->start;
export TMPDIR=$disk
[ "\$UP_INSIDE" ] || UP_INSIDE=1 exec $UNSHARE "\$0" "\$@"
mount -t tmpfs -o size=1m none $disk || exit 1
SH
        my ($child) = children($node);
        my $inside = "/proc/$child/root$disk";
        my $person = person(full_name => 'Ada');
        my %here = (port => $node->{port});
        my $free = sub { my ($blocks, $size) = split ' ', `stat --file-system --format='%a %S' $inside`; $blocks * $size };

        my $all = $free->();
        cmp_ok($all, '<=', 1024 * 1024, 'there is 1 MiB');
        is_refused($node, $person, png(3_000_000), 'No space left on device', 'a picture of 3 MB');
        is($free->(), $all, 'its place is free again');
        is_deeply([temporary_files($inside)], [], 'and has no name');
        is_profile(avatar('PUT', $person, png(900_000), %here), {}, 'one that fits is taken');
        is_profile(avatar('DELETE', $person, undef, %here), {}, '... and removed');

        spew("$inside/other", 'x' x $free->());
        is_refused($node, $person, png(), 'No space left on device', 'not a byte is free');
        unlink "$inside/other";
        is_profile(avatar('PUT', $person, png(), %here), {}, 'there is place again: on the first request');
        is_profile(avatar('DELETE', $person, undef, %here), {}, '... and removed');
        $node->stop;
    };
}

subtest 'a folder that may not be written, or is not there' => sub {
    my $person = person(full_name => 'Ada');
    my $folder = "$dir/folder";
    my $node = node(httpd => httpd_in("export TMPDIR=$folder"));

    mkdir $folder;
    $node->start;
    is_profile(avatar('PUT', $person, png(), port => $node->{port}), {}, 'to begin with it can');
    is_profile(avatar('DELETE', $person, undef, port => $node->{port}), {}, '... and removed');
    chmod 0500, $folder;
    is_refused($node, $person, png(), 'Permission denied', 'may not be written');
    chmod 0700, $folder;
    is_profile(avatar('PUT', $person, png(), port => $node->{port}), {}, 'may be written again');
    is_profile(avatar('DELETE', $person, undef, port => $node->{port}), {}, '... and removed');
    $node->stop;
};

# httpd has the signal SIGXFSZ ignored, so that write(2) tells it (EFBIG).
subtest 'a limit to the size of files' => sub {
    my $person = person(full_name => 'Ada');
    my $folder = "$dir/limit";
    # 4,000 blocks of 512 bytes: more than the logs of this test have.
    my $node = node(httpd => httpd_in("export TMPDIR=$folder\nulimit -f 4000"));

    mkdir $folder;
    $node->start;
    is_refused($node, $person, png(3_000_000), 'File too large', 'a picture of 3 MB');
    is_deeply([temporary_files($folder)], [], 'no file is left');
    is_profile(avatar('PUT', $person, png(1_000_000), port => $node->{port}), {}, 'one of 1 MB is taken');
    is_profile(avatar('DELETE', $person, undef, port => $node->{port}), {}, '... and removed');
    $node->stop;
};

done_testing();
