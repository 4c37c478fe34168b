# SPDX-License-Identifier: Apache-2.0
package UserProfile::Scratch;

=head1 NAME

UserProfile::Scratch - a folder of one's own, and an account to work as

=head1 DESCRIPTION

Tests and the demo never run in the checkout: they run in a copy of it, in a folder below /tmp that
has a short name (a Unix socket's path has at most 107 bytes), belongs to the account that works
there, and goes when they are over. Postgres and httpd refuse to work for root, and what root has
checked out others often cannot read; so root's run is done by an unprivileged account, and is
otherwise the same as everybody's.

    $dir/top/       the copy of the checkout, with what was built; the current directory
    $dir/tmp/       TMPDIR
    $dir/corpora/   the corpora, where the account could not read them in their place

C<UP_TMPDIR> names another folder than /tmp.

=cut

use strict;
use warnings;
use Cwd ();
use File::Temp ();
use POSIX qw(WNOHANG);
use Time::HiRes qw(sleep time);
use UserProfile::Process qw(children_of);

# Accounts that every Debian has and that own nothing; the first that is there is taken.
my @ACCOUNTS = qw(nobody www-data);

# What in the checkout is not copied. build/ is, in part.
my %LEFT_OUT = map { $_ => 1 } qw(. .. .git .run build mod_userprofile.so node_modules);

# Makes one. top: the checkout; name: in the folder's name; build, module: what make built there;
# also: more folders of it for build/.
sub create {
    my ($class, %self) = @_;
    my $self = bless {top => '.', build => 'build', module => 'mod_userprofile.so', %self}, $class;

    # By which processes are found, and known to be gone.
    -d "/proc/$$" or die "/proc is not mounted: mount -t proc proc /proc\n";
    $self->{top} = Cwd::abs_path($self->{top});
    -e "$self->{top}/$self->{module}" or die "$self->{module} is not there: run make first.\n";
    $self->{account} = $> == 0 ? account() : undef;
    $self->{dir} = File::Temp::tempdir("userprofile-$self->{name}.XXXXXX",
        DIR => $ENV{UP_TMPDIR} || '/tmp');
    if (!eval { $self->_fill; 1 }) {
        my $error = $@;
        $self->remove;
        die $error;
    }
    return $self;
}

# The one that is there already, as its owner or root.
sub open_existing {
    my ($class, $dir) = @_;
    my $uid = (stat $dir)[4];
    my $account = $> == 0 && $uid ? account($uid) : undef;

    return bless {dir => $dir, account => $account}, $class;
}

sub dir {
    return $_[0]{dir};
}

# An unprivileged account: the one with this number, else one of @ACCOUNTS.
sub account {
    my ($uid) = @_;

    for my $account (defined $uid ? [getpwuid $uid] : map { [getpwnam $_] } @ACCOUNTS) {
        return {name => $account->[0], uid => $account->[2], gid => $account->[3]}
            if @$account;
    }
    die "There is no account to work as: " . (defined $uid ? $uid : "@ACCOUNTS") . "\n";
}

sub _fill {
    my ($self) = @_;

    mkdir "$self->{dir}/$_" for qw(top tmp);
    $self->_copy_checkout;
    $self->_find_corpora;
    _do('chown', '-R', join(':', @{$self->{account}}{qw(uid gid)}), $self->{dir})
        if $self->{account};
    return;
}

sub _copy_checkout {
    my ($self) = @_;
    my ($top, $copy) = ($self->{top}, "$self->{dir}/top");

    opendir my $folder, $top or die "$top: $!\n";
    my @entries = grep { !$LEFT_OUT{$_} } readdir $folder;
    _do('cp', '-R', '--preserve=mode,timestamps', (map { "$top/$_" } @entries), "$copy/");
    _do('cp', "$top/$self->{module}", "$copy/mod_userprofile.so");
    mkdir "$copy/build";
    for my $built ((map { "$self->{build}/$_" } qw(bin unit preload)), 'build/openapi', @{$self->{also} // []}) {
        _do('cp', '-R', "$top/$built", "$copy/build/") if -d "$top/$built";
    }
    return;
}

# Public test data, which is no part of the project: in UP_CORPORA, or where it usually is.
sub _find_corpora {
    my ($self) = @_;
    my $corpora = $ENV{UP_CORPORA} || "$self->{top}/../shared/corpora";

    $corpora = Cwd::abs_path($corpora);
    return unless defined $corpora && -d $corpora;
    # Any word of find's means that something cannot be read.
    if (_output($self->_as_account('sh', '-c', 'find "$0" ! -readable 2>&1', $corpora)) ne '') {
        _do('cp', '-R', $corpora, "$self->{dir}/corpora");
        $corpora = "$self->{dir}/corpora";
    }
    $self->{corpora} = $corpora;
    return;
}

sub _as_account {
    my ($self, @command) = @_;
    my $account = $self->{account} or return @command;

    return ('setpriv', "--reuid=$account->{uid}", "--regid=$account->{gid}", '--clear-groups',
        '--', @command);
}

# Becomes the command, run by the account in the copy of the checkout.
sub _become {
    my ($self, @command) = @_;
    my $dir = $self->{dir};

    # What the person at the keyboard has set for Postgres, proxies or temporary files must
    # change nothing.
    delete @ENV{grep { /^PG[A-Z]|_proxy$/i || /^(?:LC_|LANG)/ } keys %ENV};
    @ENV{qw(UP_SCRATCH TMPDIR HOME LC_ALL PERL5LIB)} =
        ($dir, "$dir/tmp", $dir, 'C.UTF-8', "$dir/top/t/lib");
    $ENV{PATH} .= ':/usr/sbin:/sbin';
    $ENV{UP_CORPORA} = $self->{corpora} if $self->{corpora};
    chdir "$dir/top" or die "$dir/top: $!\n";
    @command = $self->_as_account(@command);
    exec {$command[0]} @command or die "$command[0]: $!\n";
}

# Runs the command and waits for it. Returns its exit status as a shell would.
sub run {
    my ($self, @command) = @_;
    my $pid = fork // die "fork: $!\n";
    my $caught;

    $self->_become(@command) unless $pid;
    # Ctrl-C reaches the command as well; a signal to this process alone is passed on. It is the
    # command that ends its servers; then it is over here too.
    local @SIG{qw(INT TERM HUP)} = (sub { $caught = $_[0]; kill TERM => $pid }) x 3;
    while (1) {
        my $ended = waitpid -1, 0;
        last if $ended == $pid || ($ended < 0 && !$!{EINTR});
    }
    my $status = $? & 127 ? 128 + ($? & 127) : $? >> 8;
    return $caught && !$status ? 1 : $status;
}

# From now on whatever this process starts, and what that starts, is its child when its parent is
# gone (prctl(2), PR_SET_CHILD_SUBREAPER), so that end_processes() finds them all. Where Perl does
# not know the system call's number, daemons are init's children, and stop as they are told to.
sub adopt_processes {
    eval {
        local $SIG{__WARN__} = sub { };
        require 'sys/syscall.ph';
        syscall SYS_prctl(), 36, 1, 0, 0, 0;
    };
    return;
}

# Ends every child, asking first. Returns how many did not end by themselves within a while.
sub end_processes {
    my $start = time;
    my ($stayed, @left) = (0);

    while (1) {
        1 while waitpid(-1, WNOHANG) > 0;
        @left = children_of($$) or last;
        my $waited = time - $start;
        $stayed = @left if $waited > 2 && !$stayed;
        kill $waited > 7 ? 'KILL' : 'TERM', @left if $waited > 2;
        sleep 0.05;
    }
    return $stayed;
}

# Removes the folder, or says where it is, with KEEP=1.
sub remove {
    my ($self) = @_;

    if ($ENV{KEEP}) {
        print STDERR "Kept: $self->{dir}\n";
        return;
    }
    chdir '/';
    _do('rm', '-rf', '--', $self->{dir});
    return;
}

sub _do {
    my (@command) = @_;

    system({$command[0]} @command) == 0 or die "$command[0] failed.\n";
    return;
}

# What a command prints.
sub _output {
    my (@command) = @_;

    open my $out, '-|', @command or die "$command[0]: $!\n";
    return do { local $/; <$out> } // '';
}

1;
