# SPDX-License-Identifier: Apache-2.0
package UserProfile::Suite;

=head1 NAME

UserProfile::Suite - Apache::Test's runner, with what is different here

=head1 DESCRIPTION

Apache::Test writes httpd's configuration from t/conf/*.in, starts httpd and stops it. Different is:

- every httpd listens on 127.0.0.1 only;
- the tests are run by prove, the unit tests among them, and its closing line is the last;
- where httpd does not start, what it said is shown.

=cut

use strict;
use warnings;
use Apache::TestConfig ();
use parent qw(Apache::TestRun);
use UserProfile::Process qw(last_lines);

# In seconds: longer than any httpd needs to start, under valgrind too.
my $START_TIME = 120;

# run_tests: a sub that runs the tests and returns an exit status. vars: for @names@ in t/conf/*.in.
sub new {
    my ($class, %self) = @_;

    return $class->SUPER::new(%self);
}

sub new_test_config {
    my ($self) = @_;

    return UserProfile::Suite::Config->new({%{$self->{conf_opts}}, %{$self->{vars}}});
}

sub start {
    my ($self) = @_;

    my $failed = sub {
        print STDERR last_lines(scalar $self->{test_config}->error_log);
        exit 1;
    };

    # Where each child crashes at once, Apache::Test would wait for an answer for ten minutes.
    local $SIG{ALRM} = $failed;
    alarm $START_TIME;
    $self->{server}->start or $failed->();
    alarm 0;
    return;
}

sub run_tests {
    my ($self) = @_;

    $self->{status} = $self->{run_tests}->();
    return;
}

# Without Apache::Test's words, which would be the last.
sub stop {
    my ($self) = @_;

    open my $stdout, '>&', \*STDOUT;
    open my $stderr, '>&', \*STDERR;
    open STDOUT, '>', '/dev/null';
    open STDERR, '>', '/dev/null';
    $self->{server}->stop;
    open STDOUT, '>&', $stdout;
    open STDERR, '>&', $stderr;
    return;
}

package UserProfile::Suite::Config;

use parent -norequire, 'Apache::TestConfig';

sub parse_vhost {
    my ($self, @line) = @_;
    my $vhost = $self->SUPER::parse_vhost(@line) or return;

    $vhost->{out_string} =~ s/^(\s*Listen )0\.0\.0\.0:/${1}127.0.0.1:/m;
    return $vhost;
}

1;
