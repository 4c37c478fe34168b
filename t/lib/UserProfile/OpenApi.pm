# SPDX-License-Identifier: Apache-2.0
package UserProfile::OpenApi;

=head1 NAME

UserProfile::OpenApi - holds answers to what an OpenAPI document says of them

=head1 SYNOPSIS

    my $api = UserProfile::OpenApi->new('docs/openapi.yaml');
    for my $operation ($api->operations) { ... $operation->{method}, {path}, {statuses} ... }
    my @wrong = $api->check('GET', '/api/v1/users/me', $response);
    my @missing = $api->unseen;

=head1 DESCRIPTION

An answer is right where its status is among the operation's, its headers are those of the document
and no others but httpd's own, and its body has the media type and is valid against the schema
(JSON::Validator). What was seen is remembered, so that a test can ask for what was not.

=cut

use strict;
use warnings;
use JSON::PP ();
use JSON::Validator ();
use YAML::XS ();

my @METHODS = qw(get head put post patch delete options trace);

# What httpd itself, or LWP, adds to any answer.
my $OF_HTTPD = qr/^(?:Client-.*|Connection|Content-(?:Length|Type)|Date|Keep-Alive|Server)$/i;

my $JSON = JSON::PP->new->utf8->canonical;

sub new {
    my ($class, $file) = @_;
    local $YAML::XS::Boolean = 'JSON::PP';

    return bless {file => $file, doc => YAML::XS::LoadFile($file), seen => {}, bodies => {}},
        $class;
}

# A list of {method, path, statuses}, in the order of the paths.
sub operations {
    my ($self) = @_;
    my $paths = $self->{doc}{paths};

    return map {
        my $path = $_;
        map {
            {
                method => uc,
                path => $path,
                statuses => [sort keys %{$paths->{$path}{$_}{responses}}],
            }
        } grep { $paths->{$path}{$_} } @METHODS
    } sort keys %$paths;
}

# Follows $ref to its end.
sub _resolve {
    my ($self, $node) = @_;

    while (ref $node eq 'HASH' && $node->{'$ref'}) {
        my ($pointer) = $node->{'$ref'} =~ m{^#/(.+)} or die "$self->{file}: $node->{'$ref'}\n";
        $node = $self->{doc};
        $node = $node->{$_} // die "$self->{file}: no $pointer\n" for split m{/}, $pointer;
    }
    return $node;
}

# What is wrong with a value, by a schema of the document.
sub _invalid {
    my ($self, $schema, $value) = @_;
    my $validator = $self->{validators}{$JSON->encode($schema)} //= $self->_validator($schema);

    return map { "$_" } $validator->validate($value);
}

sub _validator {
    my ($self, $schema) = @_;
    my $validator = JSON::Validator->new->schema({
        '$schema' => 'https://json-schema.org/draft/2019-09/schema',
        components => $self->{doc}{components},
        %$schema,
    })->schema;

    $validator->formats->{int64} = sub { $_[0] =~ /^-?[0-9]{1,19}\z/ ? undef : 'Not 64 bits.' };
    return $validator;
}

# Does the document have this operation?
sub has {
    my ($self, $method, $path) = @_;

    return $method eq uc $method && exists(($self->{doc}{paths}{$path} // {})->{lc $method});
}

# What is wrong with an answer; nothing where it is as the document says.
sub check {
    my ($self, $method, $path, $response) = @_;
    my $status = $response->code;
    my $spec = $self->{doc}{paths}{$path}{lc $method}{responses}{$status}
        or return "$status is no status of $method $path";

    $spec = $self->_resolve($spec);
    $self->{seen}{"$method $path $status"}++;
    return ($self->_check_headers($spec->{headers} // {}, $response),
        $self->_check_body($spec->{content}, $response));
}

# As check(), for what the document says of no operation: a schema, by name.
sub check_schema {
    my ($self, $name, $response) = @_;

    return $self->_check_value({'$ref' => "#/components/schemas/$name"}, $response);
}

sub _check_headers {
    my ($self, $headers, $response) = @_;
    my @wrong;

    for my $name (sort keys %$headers) {
        my $header = $self->_resolve($headers->{$name});
        my $value = join ', ', $response->header($name);
        push @wrong, length $value
            ? map { "$name: $_" } $self->_invalid($header->{schema}, $value)
            : $header->{required} ? "there is no $name" : ();
    }
    my %known = map { (lc, 1) } keys %$headers;
    push @wrong, map { "$_ is not in the document" }
        grep { !$known{+lc} && !/$OF_HTTPD/ } $response->header_field_names;
    return @wrong;
}

sub _check_body {
    my ($self, $content, $response) = @_;

    if (!$content) {
        return length $response->content ? 'there is a body' : ();
    }
    my $type = $response->header('Content-Type') // 'none';
    my $media = $content->{$type} or return "Content-Type is $type";
    return $self->_check_value($media->{schema}, $response);
}

sub _check_value {
    my ($self, $schema, $response) = @_;
    my $value = eval { $JSON->decode($response->content) } or return 'the body is no JSON';

    $self->{codes}{$value->{code}}++ if $value->{code};
    $self->{bodies}{_text($value)}++;
    return $self->_invalid($schema, $value);
}

# A body as text that is equal where bodies are, but for the error log's IDs.
sub _text {
    my ($value) = @_;

    return $JSON->encode($value) =~ s/\(error-log ID [^ )]+\)/(error-log ID)/gr;
}

# "METHOD path status" of what the document has and no answer had.
sub unseen {
    my ($self) = @_;

    return grep { !$self->{seen}{$_} } map {
        my $operation = $_;
        map { "$operation->{method} $operation->{path} $_" } @{$operation->{statuses}}
    } $self->operations;
}

# The document's codes, and those of them that no answer had.
sub codes {
    return @{$_[0]{doc}{components}{schemas}{Code}{enum}};
}

sub unseen_codes {
    my ($self) = @_;

    return grep { !$self->{codes}{$_} } $self->codes;
}

# The names of a schema's members in the document's order.
sub members {
    my ($self, $name) = @_;

    return @{$self->{doc}{components}{schemas}{$name}{required}};
}

# The examples of errors that are no error which was really answered.
sub invented_examples {
    my ($self) = @_;
    my @examples = map { $self->_examples($_) } values %{$self->{doc}{components}{responses}},
        map { values %{$_->{responses}} } map { my $path = $_; map { $path->{$_} // () } @METHODS }
        values %{$self->{doc}{paths}};

    return grep { !$self->{bodies}{$_} } map { _text($_) } grep { $_->{code} } @examples;
}

sub _examples {
    my ($self, $response) = @_;
    my $content = $self->_resolve($response)->{content} // {};

    return map { $self->_resolve($_)->{value} } map { values %{$_->{examples} // {}} }
        values %$content;
}

1;
