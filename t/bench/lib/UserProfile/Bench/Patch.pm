# SPDX-License-Identifier: Apache-2.0
package UserProfile::Bench::Patch;

=head1 NAME

UserProfile::Bench::Patch - PATCH of one field, beside pgbench with the module's own UPDATE

=head1 DESCRIPTION

32 clients each, on the same table, with the same synchronous_commit (on): each change is on the disk when it is
answered. Both change rows of $TOKENS users, so that hardly any waits for another.

=cut

use strict;
use warnings;
use UserProfile::Bench::Load qw(wrk pgbench);
use UserProfile::Bench::Rounds ();
use UserProfile::Bench::Statement qw(statement script);
use UserProfile::Bench::World qw($ME $TOKENS);
use UserProfile::Process qw(run_quietly spew);

my $GOAL = 0.7;
my $BODY = '{"full_name":"Ada Lovelace"}';

# Returns rows of the table.
sub run {
    my ($bench) = @_;
    my $world = $bench->{world};
    my $node = $world->httpd('event');
    my @body = map { "$world->{dir}/patch.$_" } qw(type body);

    spew($body[0], 'application/json');
    spew($body[1], $BODY);
    my ($sql, $value) = statement($world, 'UPDATE ', sub {
        run_quietly('curl', '-sS', '--fail', '-X', 'PATCH', '-H', 'Content-Type: application/json', '-d', $BODY,
            '-H', 'Authorization: Bearer ' . $world->token_of(1), "http://127.0.0.1:$node->{port}$ME");
    });
    my %script = script($world, 'update', $sql, $value, "('user' || :n || '\@bench.example.com')",
        "\\set n random(1, $TOKENS)");
    my ($us, $pgbench) = ('module, event', 'pgbench, update');
    my $rounds = UserProfile::Bench::Rounds->new(progress => $bench->{progress}, sides => [
        $us => sub {
            wrk(port => $node->{port}, path => $ME, tokens => $world->{tokens}, method => 'PATCH', body => \@body,
                seconds => $bench->{seconds})->{rate};
        },
        $pgbench => sub { pgbench(%script, seconds => $bench->{seconds})->{rate} }]);

    $rounds->warm;
    $rounds->run($bench->{rounds});
    $node->stop;
    return {name => 'PATCH, event: pgbench', goal => $GOAL, ratios => [$rounds->ratios(sub { $_[0]{$us} / $_[0]{$pgbench} })],
        figures => sprintf '%.0f / %.0f /s', map { $rounds->figure($_) } $us, $pgbench};
}

1;
