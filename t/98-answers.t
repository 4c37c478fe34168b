#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
#
# Each answer that a test before this one got from a shipped contract is as its OpenAPI document says.
# What the document has no operation for is an error of it.
use strict;
use warnings;
use Test::More;
use UserProfile::Answers qw(kept_answers);
use UserProfile::Lanes qw(lanes);
use UserProfile::OpenApi;
use UserProfile::Test;

my %document = (
    fluentmeet => {api => UserProfile::OpenApi->new('docs/openapi.yaml'), error => 'Error'},
    killrvideo => {api => UserProfile::OpenApi->new('docs/openapi-killrvideo.yaml'), error => 'Problem'},
);

# What is wrong with an answer.
sub wrong {
    my ($answer) = @_;
    my ($method, $path, $response) = @{$answer}{qw(method path response)};
    my $document = $document{$answer->{contract}};

    return $document->{api}->check($method, $path, $response)
        if $document->{api}->has($method, $path);
    return 'it is ' . $response->code if $response->code < 400;
    return length $response->content ? 'there is a body' : () if $method eq 'HEAD';
    return $document->{api}->check_schema($document->{error}, $response);
}

my @secrets = (servers()->{storage_secret}, map { slurp($_) =~ s/\n\z//r } map { glob "$_/keys/*.key" } lanes());

# How many secrets are in an answer.
sub tells {
    my ($answer) = @_;
    my $text = $answer->{response}->as_string;

    return scalar grep { index($text, $_) >= 0 } @secrets;
}

# The same, looked at once for answers that differ in their time and their ID only.
my %known;

sub known_wrong {
    my ($answer) = @_;
    my $text = $answer->{response}->as_string =~ s/^(?:Date|Client-[\w-]+): .*\n//gmr
        =~ s/\(error-log ID [^ )]+\)/(error-log ID x)/gr;

    return @{$known{join "\n", @$answer{qw(contract method path)}, $text} //= [wrong($answer)]};
}

my @answers = kept_answers();
my (%count, %wrong);
for my $answer (@answers) {
    next unless $answer->{path} =~ m{^\Q$ME\E(?:/|\z)};
    $count{$answer->{contract}}++;
    for my $wrong (known_wrong($answer)) {
        my $of = $wrong{"$answer->{contract}: $answer->{method} $answer->{path}: "
            . $answer->{response}->code . ": $wrong"} //= $answer;
        $of->{times}++;
    }
}

plan skip_all => 'no test has asked before' unless %count;
# Not by unlike(), which would print the secret.
is(scalar(grep { tells($_) } @answers), 0, 'no answer has a secret in it');
for my $contract (sort keys %count) {
    my @wrong = grep { /^$contract:/ } sort keys %wrong;

    is(scalar @wrong, 0, "$contract: $count{$contract} answers are as the document says")
        or diag map { "$_\n  in $wrong{$_}{test}, $wrong{$_}{times} times; the first:\n"
            . $wrong{$_}{response}->as_string =~ s/^/    /gmr } @wrong;
}
done_testing();
