# SPDX-License-Identifier: Apache-2.0
package UserProfile::Httpd;

=head1 NAME

UserProfile::Httpd - what every httpd of the tests and the demo loads, and an httpd of one's own

=head1 SYNOPSIS

    # A second node, beside the one that Apache::Test runs.
    my $node = UserProfile::Httpd->new(dir => "$dir/node2", defines => {$servers->defines},
        conf => qq(Include "$top/conf/fluentmeet.conf"\n));
    $node->start;
    ... http://127.0.0.1:$node->{port}/ ...
    $node->signal('USR1');    # graceful
    $node->stop;

=cut

use strict;
use warnings;
use Cwd ();
use Exporter qw(import);
use IO::Select ();
use IO::Socket::INET ();
use UserProfile::Process
    qw(alive children_of pid_of stop_process wait_for run_quietly free_port last_lines slurp spew);

our @EXPORT_OK = qw(load_modules define_lines modules_folder);

# Beside what Debian's httpd has built in, these and no others: a shipped configuration that counts
# on another module fails here.
my @MODULES = qw(authn_core authz_core authz_user alias dir mime headers env setenvif dbd
    socache_shmcb reqtimeout status macro rewrite);

# Where httpd's modules are.
sub modules_folder {
    our $folder //= run_quietly('apxs', '-q', 'LIBEXECDIR') =~ s/\s+\z//r;

    return $folder;
}

# The LoadModule lines; $module is the path of mod_userprofile.so, or nothing.
sub load_modules {
    my ($mpm, $module) = @_;
    my $folder = modules_folder();

    return join '', (map { qq(LoadModule ${_}_module "$folder/mod_$_.so"\n) } "mpm_$mpm", @MODULES),
        $module ? qq(LoadModule userprofile_module "$module"\n) : ();
}

# Define lines, in quotes as httpd reads them.
sub define_lines {
    my (%defines) = @_;

    return join '', map { my $value = $defines{$_} =~ s/(["\\])/\\$1/gr; qq(Define $_ "$value"\n) }
        sort keys %defines;
}

# dir: a new folder for its configuration and logs. port: any free one by default. mpm: event by
# default. defines: as conf takes them. conf: what follows the rest of the configuration.
# httpd: the command. top: the checkout. documents: the folder that it serves. module: the path of
# mod_userprofile.so, or '' for an httpd without it. common: what it has beside that, instead of an
# access log and t/conf/common.conf. patience: so many seconds (20) it may take to start.
sub new {
    my ($class, %self) = @_;
    my $self = bless {
        port => free_port(),
        mpm => $ENV{UP_MPM} || 'event',
        httpd => '/usr/sbin/apache2',
        top => Cwd::getcwd(),
        defines => {},
        conf => '',
        patience => 20,
        %self,
    }, $class;

    $self->{documents} //= "$self->{top}/t/htdocs";
    $self->{module} //= "$self->{top}/mod_userprofile.so";
    $self->{common} //= qq(CustomLog "$self->{dir}/access_log" "%h %t \\"%r\\" %>s %b"\n)
        . qq(Include "$self->{top}/t/conf/common.conf"\n);
    $self->{error_log} = "$self->{dir}/error_log";
    $self->{pid_file} = "$self->{dir}/httpd.pid";
    -d $self->{dir} or mkdir $self->{dir} or die "$self->{dir}: $!\n";
    $self->write;
    return $self;
}

# Writes the configuration; again after a change, then signal('USR1') or signal('HUP').
sub write {
    my ($self) = @_;

    spew("$self->{dir}/httpd.conf", load_modules($self->{mpm}, $self->{module})
            . define_lines(%{$self->{defines}}) . <<"CONF");
ServerName 127.0.0.1:$self->{port}
Listen 127.0.0.1:$self->{port}
PidFile "$self->{pid_file}"
ErrorLog "$self->{error_log}"
DefaultRuntimeDir "$self->{dir}"
DocumentRoot "$self->{documents}"
$self->{common}
<Directory "$self->{documents}">
    Require all granted
</Directory>
$self->{conf}
CONF
    return;
}

sub _command {
    my ($self, @arguments) = @_;

    return ($self->{httpd}, '-d', $self->{dir}, '-f', "$self->{dir}/httpd.conf", @arguments);
}

# What httpd says of the configuration (apachectl configtest): dies where it does not like it.
sub check {
    my ($self) = @_;

    return run_quietly($self->_command('-t'));
}

# The whole configuration as httpd (mod_info, which conf has to load) has read it.
sub dump {
    my ($self) = @_;

    return run_quietly($self->_command(qw(-t -D DUMP_CONFIG)));
}

sub pid {
    return pid_of($_[0]{pid_file});
}

# Starts it, and returns when it answers.
sub start {
    my ($self) = @_;

    run_quietly($self->_command('-k', 'start'));
    if (!wait_for($self->{patience}, sub { $self->pid && $self->_answers })) {
        $self->stop;
        die "httpd does not start:\n", last_lines($self->{error_log});
    }
    return $self;
}

# Does a child process answer? That the kernel takes a connection says nothing yet.
sub _answers {
    my ($self) = @_;
    my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $self->{port})
        or return 0;

    print {$socket} "HEAD / HTTP/1.0\r\n\r\n";
    $socket->flush;
    return IO::Select->new($socket)->can_read(2) && sysread $socket, my $answer, 1;
}

sub signal {
    my ($self, $signal) = @_;
    my $pid = $self->pid or die "httpd does not run\n";

    return kill $signal, $pid;
}

# Its child processes.
sub children {
    my ($self) = @_;
    my $parent = $self->pid or return;

    return grep { alive($_) } children_of($parent);
}

sub stop {
    my ($self) = @_;

    # Until its threads are there, a child's SIGTERM handler calls exit() wherever it is, within
    # malloc() too: httpd itself can crash then.
    wait_for(5, sub { !grep { _threads($_) < 3 } $self->children }) if $self->{mpm} ne 'prefork';
    stop_process($self->pid, 'TERM');
    return;
}

sub _threads {
    my ($pid) = @_;
    my $status = eval { slurp("/proc/$pid/status") } // '';

    return $status =~ /^Threads:\s+(\d+)/m ? $1 : 3;
}

1;
