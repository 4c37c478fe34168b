# SPDX-License-Identifier: Apache-2.0
package UserProfile::Bench::Statement;

=head1 NAME

UserProfile::Bench::Statement - the module's own statements, for pgbench

=head1 SYNOPSIS

    my ($sql, $value) = statement($world, 'SELECT ', sub { ... a GET of user 1 ... });
    pgbench(script($world, 'select', $sql, $value, ':subject'), set => {subject => email(1)});

=head1 DESCRIPTION

They are read from Postgres' log, so that what is compared stays the same whatever the module asks.

=cut

use strict;
use warnings;
use Exporter qw(import);
use UserProfile::Bench::World qw(email);
use UserProfile::Process qw(slurp spew wait_for);

our @EXPORT_OK = qw(statement script);

# The statement that begins so and that Postgres executes while the sub runs; and the values of its
# parameters: $1, $2, ... => a literal of SQL.
sub statement {
    my ($world, $begin, $sub) = @_;
    my $log = "$world->{dir}/logs/postgres.log";

    _log($world, 'all');
    my $mark = -s $log;
    my ($sql, $parameters);
    my $found = wait_for(10, sub {
        $sub->();
        ($sql, $parameters) = substr(slurp($log), $mark)
            =~ /LOG:  execute \w+: (\Q$begin\E.*)\n.*DETAIL:  parameters: (.*)/;
    });
    _log($world, 'none');
    die "Postgres' log has no statement that begins with $begin\n" unless $found;
    return ($sql, {$parameters =~ /(\$\d+) = (NULL|'(?:[^']|'')*')/g});
}

sub _log {
    my ($world, $what) = @_;
    my $servers = $world->{servers};

    $servers->query('postgres', "ALTER SYSTEM SET log_statement = '$what'");
    $servers->query('postgres', 'SELECT pg_reload_conf()');
    wait_for(10, sub { $servers->query('fluentmeet', 'SHOW log_statement') =~ /\b$what\b/ })
        or die "Postgres does not reload its configuration.\n";
    return;
}

# Writes it for pgbench, and returns what pgbench() wants to know. What was the email of user 1 is $subject,
# an expression of pgbench and SQL; $before is a line of pgbench's before it.
sub script {
    my ($world, $name, $sql, $value, $subject, $before) = @_;
    my $servers = $world->{servers};
    my $file = "$world->{dir}/$name.sql";
    my $email = "'" . email(1) . "'";

    die "No parameter is the subject: $sql\n" unless grep { $_ eq $email } values %$value;
    # A colon in a text begins a variable for pgbench; a text may be in pieces, a line each.
    $sql =~ s{'((?:[^']|'')*)'}{"'" . $1 =~ s/:(?=\w)/:'\n'/gr . "'"}ge;
    $sql =~ s/(\$\d+)/$value->{$1} eq $email ? $subject : $value->{$1}/ge;
    spew($file, ($before ? "$before\n" : '') . "$sql;\n");
    return (script => $file, host => $servers->{postgres}, user => $servers->{role}, database => 'fluentmeet');
}

1;
