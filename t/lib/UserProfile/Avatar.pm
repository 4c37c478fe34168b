# SPDX-License-Identifier: Apache-2.0
package UserProfile::Avatar;

=head1 NAME

UserProfile::Avatar - what the tests of avatars and of deletion look at beside the answer

=head1 SYNOPSIS

    my $person = person(full_name => 'Ada');      # {user => row, token => ...}
    my $res = avatar('PUT', $person, png());      # the raw image, to .../me/avatar
    is(asset_of(json($res)->{avatar_url}), (assets())[0], 'the asset');

    my $under_way = begin_request('PUT', "$ME/avatar", token => $token, body => png(), type => 'image/png');
    ... while it is served ...
    my $res = end_request($under_way);

=cut

use strict;
use warnings;
use Exporter qw(import);
use HTTP::Request ();
use HTTP::Response ();
use IO::Select ();
use IO::Socket::INET ();
use LWP::UserAgent ();
use Time::HiRes qw(time);
use UserProfile::Answers qw(keep_answer);
use UserProfile::Test;

our @EXPORT = qw(
    person avatar part asset_of assets delivered calls storage_back journal journal_clear
    unchanged_row begin_request is_answered end_request postgres_log_mark postgres_log_since
);

# A new row of users and a token that speaks for it: {user, token, id, email}.
sub person {
    my (%column) = @_;
    my $user = user_new(%column);

    return {user => $user, id => $user->{id}, email => $user->{email},
        token => token(sub => $user->{email})};
}

# A request to .../me/avatar, with the image as its body where there is one. Options as request()'s.
sub avatar {
    my ($method, $person, $picture, %option) = @_;

    @option{qw(body type)} = ($picture, $option{type} // 'image/png') if defined $picture;
    return request($method, "$ME/avatar", token => $person->{token}, %option);
}

# The part of a form that is the avatar.
sub part {
    my ($picture, %more) = @_;

    return {name => 'avatar', filename => 'me.png', type => 'image/png', body => $picture, %more};
}

# --- The storage ----------------------------------------------------------------------------------

# The public ID in one of the stand-in's URLs, or undef.
sub asset_of {
    my ($url) = @_;
    my $cloud = servers->{storage_cloud};

    return ($url // '') =~ m{^https://res\.cloudinary\.com/\Q$cloud\E/image/upload/v\d+/(.+)\.\w+\z}
        ? $1 : undef;
}

# The public IDs of all assets in the storage.
sub assets {
    return map { $_->{public_id} } @{storage('assets')->{assets}};
}

# The bytes of an asset as the storage has them.
sub delivered {
    my ($asset) = @_;
    my $url = join '/', servers->{storage_url}, servers->{storage_cloud}, 'image/upload', $asset;

    return LWP::UserAgent->new(timeout => 10)->get($url)->content;
}

# What the storage was asked for since its last reset, in order: "upload ID", "destroy ID".
sub calls {
    return map { "$_->{action} $_->{public_id}" } @{storage('requests')->{requests}};
}

# Starts the storage again, and returns when it answers.
sub storage_back {
    servers->start_storage;
    wait_for(10, sub { eval { storage('assets') } }) or die "the storage does not come back\n";
    return;
}

# --- The journal ----------------------------------------------------------------------------------

# Its entries, in order, as text: the effect, and what else there is but the numbers. Each call
# sees those only that were made since journal_clear().
sub journal {
    return map {
        my $row = $_;
        join ' ', map { $row->{$_} // () } qw(effect asset url subject jti);
    } @{db()->selectall_arrayref('SELECT * FROM userprofile_journal ORDER BY id', {Slice => {}})};
}

# Forgets what a fault has left to be done.
sub journal_clear {
    db()->do('DELETE FROM userprofile_journal');
    return;
}

# The row of users with all its columns as one text, to compare.
sub unchanged_row {
    my ($id) = @_;

    my $row = user_row($id) or return;
    return join ', ', map { "$_ " . ($row->{$_} // 'NULL') } sort keys %$row;
}

# --- Requests at the same time --------------------------------------------------------------------

# Sends a request and does not wait for its answer. Options as request()'s; wait => 0 connects only.
sub begin_request {
    my ($method, $path, %option) = @_;
    my $url = url($path, %option);
    my ($host) = $url =~ m{^http://([^/]+)};
    my ($body, $type) = @option{qw(body type)};

    ($type, $body) = multipart($option{form}) if $option{form};
    $body //= '';
    my $request = HTTP::Request->new($method, $path, [Host => $host, Connection => 'close',
        'Content-Length' => length $body, defined $type ? ('Content-Type' => $type) : (),
        defined $option{token} ? (Authorization => "Bearer $option{token}") : (),
        %{$option{headers} // {}}], $body);
    my $socket = IO::Socket::INET->new(PeerAddr => $host) or die "connect $host: $!\n";
    my $bytes = "$method $path HTTP/1.1\r\n" . $request->headers->as_string("\r\n") . "\r\n$body";

    local $SIG{PIPE} = 'IGNORE';
    while (length $bytes) {
        my $sent = syswrite $socket, $bytes or last;
        substr $bytes, 0, $sent, '';
    }
    return {socket => $socket, answer => '', begun => time, method => $method, url => $url};
}

# Has its answer begun?
sub is_answered {
    my ($request) = @_;

    return IO::Select->new($request->{socket})->can_read(0) ? 1 : 0;
}

# Waits for the answer, 30 s at most: an HTTP::Response; dies where there is none.
sub end_request {
    my ($request, %option) = @_;
    my $readable = IO::Select->new($request->{socket});
    my $end = time + ($option{timeout} // 30);

    while ($readable->can_read($end > time ? $end - time : 0)) {
        last unless sysread $request->{socket}, $request->{answer}, 65_536, length $request->{answer};
    }
    close $request->{socket};
    my $response = HTTP::Response->parse($request->{answer});
    die "no answer, or half of one\n" unless $response->code
        && length($response->content) == ($response->header('Content-Length') // -1);
    keep_answer($request->{url}, $request->{method}, $response);
    return $response;
}

# --- Postgres' log --------------------------------------------------------------------------------

sub postgres_log_mark {
    return log_mark(servers->{dir} . '/logs/postgres.log');
}

sub postgres_log_since {
    my ($mark) = @_;

    return log_since($mark, servers->{dir} . '/logs/postgres.log');
}

1;
