# SPDX-License-Identifier: Apache-2.0
package UserProfile::Answers;

=head1 NAME

UserProfile::Answers - what the shipped contracts have answered in a run, for its last tests

=head1 SYNOPSIS

    is_of($port, 'fluentmeet');                    # this port has that contract as shipped
    keep_answer($url, 'GET', $response);           # kept where the URL is of such a port
    for my $answer (kept_answers()) { ... }        # {contract, test, method, path, response}

=head1 DESCRIPTION

UserProfile::Test keeps each answer that it gets. They are in one file of each lane's folder, a line
each, which every process appends to; t/98-answers.t holds them to the OpenAPI documents.

=cut

use strict;
use warnings;
use Exporter qw(import);
use Fcntl qw(O_WRONLY O_APPEND O_CREAT);
use File::Basename qw(basename);
use HTTP::Response ();
use JSON::PP ();
use UserProfile::Lanes qw(lanes);
use UserProfile::Process qw(slurp);

our @EXPORT_OK = qw(is_of contract_of keep_answer kept_answers);

my $JSON = JSON::PP->new->latin1->canonical;

# What makes other answers than those of the contract that is included.
my $OWN = qr/^\s*(?:UserProfile(?:Table|Field|Methods|Errors|Envelope|Unknown\w+)|Header|SetOutputFilter)\b/m;

my %contract;

sub _file {
    return "$ENV{UP_SCRATCH}/answers";
}

# The shipped contract that a configuration is, or undef.
sub contract_of {
    my ($conf) = @_;

    # The embedded configuration is the first contract, elsewhere.
    return $conf !~ $OWN && $conf =~ m{^Include ".*/conf/(fluentmeet|killrvideo|embedded)\.conf"$}m
        ? $1 =~ s/embedded/fluentmeet/r : undef;
}

sub is_of {
    my ($port, $contract) = @_;

    $contract{$port} = $contract;
    return;
}

sub keep_answer {
    my ($url, $method, $response) = @_;
    my ($port, $path) = $url =~ m{^http://[^/:]+:(\d+)([^?]*)} or return;
    my $contract = $contract{$port} or return;
    my $line = $JSON->encode({contract => $contract, test => basename($0), method => $method,
        path => $path, response => $response->as_string("\r\n")});

    # One write for each line: processes do not get between one another's.
    sysopen my $out, _file(), O_WRONLY | O_APPEND | O_CREAT or die _file() . ": $!\n";
    syswrite $out, "$line\n" or die _file() . ": $!\n";
    close $out;
    return;
}

sub kept_answers {
    my @answers = map { $JSON->decode($_) } map { split /^/, slurp($_) } grep { -e } map { "$_/answers" } lanes();

    $_->{response} = HTTP::Response->parse($_->{response}) for @answers;
    return @answers;
}

1;
