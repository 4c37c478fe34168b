# SPDX-License-Identifier: Apache-2.0
package UserProfile::Markdown;

=head1 NAME

UserProfile::Markdown - what a document has in it that can be tried

=head1 SYNOPSIS

    use UserProfile::Markdown qw(blocks rows links anchors);
    for my $block (blocks(slurp('README.md'))) {
        ... $block->{language}, $block->{text}, $block->{line}, $block->{says}{modules} ...
    }

=head1 DESCRIPTION

A fenced block may have a comment in the line before it, which readers do not see:
C<< <!-- apache: beside fluentmeet; modules: headers --> >> becomes
C<< {apache => 'beside fluentmeet', modules => 'headers'} >>.

=cut

use strict;
use warnings;
use Exporter qw(import);

our @EXPORT_OK = qw(blocks rows links anchors);

sub blocks {
    my ($text) = @_;
    my @blocks;

    while ($text =~ /^(?:<!-- ([^\n]*?) -->\n)?```(\w+)\n(.*?)^```$/msg) {
        my ($says, $language, $block) = ($1 // '', $2, $3);
        push @blocks, {
            language => $language,
            text => $block,
            line => 1 + (substr($text, 0, $-[3]) =~ tr/\n//),
            says => {map { /^\s*(\w+): (.*?)\s*$/ ? ($1 => $2) : () } split /;/, $says},
        };
    }
    return @blocks;
}

# The rows of all tables, each a list of its cells; those of the heads are not among them.
sub rows {
    my ($text) = @_;
    my @rows;

    for my $table ($text =~ /^((?:\|.*\|\n)+)/mg) {
        my (undef, undef, @lines) = split /\n/, $table;
        push @rows, map { [map { s/^\s+|\s+$//gr } split /\|/, s/^\|//r] } @lines;
    }
    return @rows;
}

# Where links go to, those of code left out.
sub links {
    my ($text) = @_;

    return _prose($text) =~ /\]\(([^)\s]+)\)/g;
}

# What a link may name after its "#", as GitHub makes it of the headings.
sub anchors {
    my ($text) = @_;

    return map { lc(s/[`*]//gr) =~ s/[^\w\s-]//gr =~ s/\s/-/gr } _prose($text) =~ /^#+ (.*)$/mg;
}

sub _prose {
    return $_[0] =~ s/^```.*?^```$//msgr =~ s/`[^`\n]*`//gr;
}

1;
