# SPDX-License-Identifier: Apache-2.0
package UserProfile::Crash;

=head1 NAME

UserProfile::Crash - where a child of httpd has crashed

=head1 SYNOPSIS

    $servers->{httpd} = crash_command($servers->{httpd});    # in t/TEST, for all tests
    ok(is_httpds_own($_)) for grep { /exit signal/ } split /^/, $log;

=head1 DESCRIPTION

One crash is httpd's: at a stop or a restart at once (TERM, HUP) the main thread of a child of event closes
the sockets of its workers, and a worker that ends frees the one that is looked at (trap 33 of
docs/architecture.md). It is told by the frames of the thread that has crashed, which
t/preload/crash.c notes: C<apr_os_sock_get>, called by mod_mpm_event, and nothing of the module.

=cut

use strict;
use warnings;
use Exporter qw(import);
use UserProfile::Lanes qw(lanes);
use UserProfile::Process qw(slurp spew);

our @EXPORT_OK = qw(crash_command crash_trace is_own_trace is_httpds_own);

# A command that starts this httpd so that a crash of it is noted.
sub crash_command {
    my ($httpd) = @_;
    my $dir = $ENV{UP_SCRATCH};
    my $command = "$dir/httpd-noting-crashes";

    mkdir "$dir/crashes";
    # A sanitizer's httpd is itself a command that preloads, and takes this behind its own.
    spew($command, "#!/bin/sh\nexport UP_CRASHES='$dir/crashes' UP_PRELOAD='$dir/top/build/preload/crash.so'\n"
            . qq(LD_PRELOAD="\$UP_PRELOAD\${LD_PRELOAD:+ \$LD_PRELOAD}" exec '$httpd' "\$@"\n));
    chmod 0755, $command;
    return $command;
}

# The frames of the process that this line of an error log tells of ("child pid N exit signal ...").
sub crash_trace {
    my ($line) = @_;
    my ($pid) = $line =~ /\bchild pid (\d+) exit signal/ or return '';

    return join '', map { slurp($_) } grep { -e } map { "$_/crashes/$pid" } lanes();
}

# Are these frames, innermost first, those of httpd's own crash? What noted them comes before, and what
# the kernel has put between.
sub is_own_trace {
    my ($frames) = @_;

    return $frames =~ m{\A(?:.*/(?:crash|libc|libasan)\.so.*\n)*.*/libapr-1\.so\S*\(apr_os_sock_get\+\w+\).*\n.*/mod_mpm_event\.so\b}
        && $frames !~ /mod_userprofile/;
}

# Is the crash that such a line tells of httpd's own?
sub is_httpds_own {
    return is_own_trace(crash_trace($_[0]));
}

1;
