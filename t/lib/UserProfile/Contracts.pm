# SPDX-License-Identifier: Apache-2.0
package UserProfile::Contracts;

=head1 NAME

UserProfile::Contracts - a node of one's own with several contracts

=head1 SYNOPSIS

    my $contracts = contracts(
        readonly => 'UserProfileMethods GET',
        lenient => 'UserProfileTokenLeeway 60',
    );
    me('GET', token => $token, $contracts->at('lenient'));
    me('GET', token => $token, $contracts->at);          # the configuration as shipped

=head1 DESCRIPTION

Each is a virtual host that adds these lines to the first seed's configuration. There is a place
/guarded in all of them, and its document. The node ends with the test.

=cut

use strict;
use warnings;
use Exporter qw(import);
use UserProfile::Test;

our @EXPORT = qw(contracts);

sub contracts {
    my (%lines) = @_;
    my %port = map { $_ => free_port() } sort keys %lines;
    my $conf = UserProfile::Test::contract() . $GUARDED;

    for my $name (sort keys %lines) {
        $conf .= "Listen 127.0.0.1:$port{$name}\n<VirtualHost 127.0.0.1:$port{$name}>\n"
            . "ServerName $name.example.com\n$lines{$name}\n</VirtualHost>\n";
    }
    my $node = node(conf => $conf, contract => 'fluentmeet')->start;
    return bless {node => $node, port => {%port, '' => $node->{port}}}, __PACKAGE__;
}

# Where a contract is, for request() and raw().
sub at {
    my ($self, $name) = @_;

    return (port => $self->{port}{$name // ''} // die "No contract $name\n");
}

sub httpd {
    return $_[0]{node};
}

1;
