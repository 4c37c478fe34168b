# SPDX-License-Identifier: Apache-2.0
package UserProfile::Test;

=head1 NAME

UserProfile::Test - what a test says to the module and its surroundings

=head1 SYNOPSIS

    use strict;
    use warnings;
    use Test::More;
    use UserProfile::Test;

    my $user = user_new(full_name => 'Ada Lovelace');
    my $token = token(sub => $user->{email});

    my $res = me('GET', token => $token);
    is_profile($res, {full_name => 'Ada Lovelace'}, 'the profile');
    $res = me('PATCH', token => $token, json => {speaking_language => 'xx'});
    is_error($res, 400, 'INVALID_LANGUAGE_CODE', 'no such language');

    done_testing();

A test runs beside all servers, after the tests before it (by name), as an unprivileged account,
in the checkout's copy. It leaves the servers as it found them: running, and without faults.
Each function is described where it stands.

=cut

use strict;
use warnings;
use DBI ();
use Digest::SHA qw(sha1_hex);
use Exporter qw(import);
use File::Basename qw(basename);
use HTTP::Request ();
use IO::Select ();
use IO::Socket::INET ();
use JSON::PP ();
use LWP::UserAgent ();
use Redis ();
use Test::More ();
use Time::HiRes qw(sleep time);
use UserProfile::Answers qw(is_of contract_of keep_answer);
use UserProfile::Embedded ();
use UserProfile::Httpd ();
use UserProfile::Picture qw(png jpeg webp);
use UserProfile::Process qw(wait_for slurp spew free_port alive children_of);
use UserProfile::Servers ();
use UserProfile::Token qw(sign_claims sign_bytes);

our @EXPORT = qw(
    $ME @FIELDS $GUARDED scratch servers url token token_bytes request me raw json multipart
    is_profile is_error db insert user_new user_row redis storage storage_fault
    log_mark log_since log_like log_unlike node httpd_in corpora
    png jpeg webp wait_for slurp spew free_port alive children_of
    embedded is_recent restore journal_time contract
);

# The resource of the shipped configurations, and the first seed's fields in their order.
our $ME = '/api/v1/users/me';
our @FIELDS = qw(id email full_name avatar_url speaking_language listening_language is_active
    is_verified created_at);

# A location that is not ours, behind our tokens.
our $GUARDED = <<'CONF';
<Location "/guarded">
    AuthType Bearer
    AuthName "guarded"
    Require valid-user
</Location>
CONF

# What no answer and no log may ever hold: user_new() puts it into hashed_password.
our $HASH = '$2b$12$never.to.be.seen.outside.of.the.database';

my $JSON = JSON::PP->new->utf8->canonical;

# --- Where everything is --------------------------------------------------------------------------

# The run's folder. Temporary files of every process are in its tmp/.
sub scratch {
    return $ENV{UP_SCRATCH} // die "Tests are run by t/TEST.\n";
}

# The private servers, to stop, start and look at: see UserProfile::Servers. For instance
# servers->stop_postgres('immediate'), servers->start_redis, kill STOP => servers->postgres_pid.
sub servers {
    our $servers //= UserProfile::Servers->open_existing(scratch());
    return $servers;
}

# Is this test about the embedded stack? See UserProfile::Embedded.
sub embedded {
    return ($ENV{UP_STACK} // '') eq 'embedded';
}

# A URL of the main server, of a vhost of t/conf/extra.conf.in (vhost => 'name'), or of another port
# (port => N).
sub url {
    my ($path, %where) = @_;

    return "http://127.0.0.1:" . _port(%where) . $path;
}

sub _port {
    my (%where) = @_;

    return $where{port} if $where{port};
    # As Apache::Test has saved it: to make it anew takes a second of apxs.
    our $config //= _config();
    return $config->{vars}{port} unless $where{vhost} || embedded();
    my $name = join '_', $where{vhost} // (), embedded() ? 'embedded' : ();
    my $vhost = $config->{vhosts}{$name} or die "No vhost $name\n";
    return $vhost->{port};
}

sub _config {
    require './t/conf/apache_test_config.pm';
    my $config = apache_test_config->new;

    is_of($_, 'fluentmeet') for $config->{vars}{port}, map { $_->{port} } values %{$config->{vhosts}};
    return $config;
}

# The path of a folder or file of the corpora, or undef where they are not there:
#   my $dir = corpora('json-nst') or plan skip_all => 'no corpora: set UP_CORPORA';
sub corpora {
    my ($path) = @_;
    my $file = ($ENV{UP_CORPORA} // '../shared/corpora') . "/$path";

    return -e $file ? $file : undef;
}

# --- Tokens ---------------------------------------------------------------------------------------

# A token for the first seed's configuration: token(sub => $email, claim => value, ...). By default
# jti is random, type is "access" and exp in 15 minutes; a claim that is undef is left out.
#   -alg       HS256 (default), HS384, HS512, RS*, ES*, none: the header's, and the signature's
#   -key       the secret's bytes, instead of the one in keys/hs256.key, ...
#   -key_file  the private key, instead of keys/rsa.pem, keys/es256.pem, ...
#   -kid       -header, a hash of further members of the header
sub token {
    my %claims = (jti => _random_name(), type => 'access', exp => time_now() + 900);
    my %how = _split_options(\%claims, @_);

    delete @claims{grep { !defined $claims{$_} } keys %claims};
    return sign_claims(\%claims, %how);
}

# A token whose header and payload are these very bytes: token_bytes($header, $payload, -alg => ...).
sub token_bytes {
    my ($header, $payload, @how) = @_;

    return sign_bytes($header, $payload, _split_options({}, @how));
}

# Moves the options that begin with "-" out of the claims, and finds the key.
sub _split_options {
    my ($claims, %given) = @_;
    my %how;

    for my $name (keys %given) {
        if ($name =~ /^-(.*)/) { $how{$1} = $given{$name} }
        else                   { $claims->{$name} = $given{$name} }
    }
    my $alg = lc($how{alg} // 'HS256');
    my $keys = servers()->{keys};
    $how{key} //= slurp("$keys/$alg.key") =~ s/\n\z//r if $alg =~ /^hs/;
    $how{key_file} //= $alg =~ /^rs/ ? "$keys/rsa.pem" : "$keys/$alg.pem" if $alg =~ /^(?:rs|es)/;
    return %how;
}

sub time_now {
    return int time;
}

sub _random_name {
    return substr sha1_hex(join ' ', $$, time, rand), 0, 24;
}

# --- Requests -------------------------------------------------------------------------------------

# request($method, $path, %options): an HTTP::Response; dies where there is none. Options:
#   token => $text             Authorization: Bearer
#   headers => {name => value} or [name => value, ...] where one comes twice
#   json => $data              the body, as application/json
#   body => $bytes, type => $media_type
#   form => [part, ...]        the body, as multipart(): an avatar is
#                              {name => 'avatar', filename => 'a.png', body => png()}
#   vhost => $name, port => N  as in url()
#   timeout => seconds         20 by default
#   keep => 0                  t/98-answers.t is not to see it: the row is none of the document's
# Each request has a connection of its own; nothing is followed, decoded or sent again.
sub request {
    my ($method, $path, %option) = @_;
    my $request = HTTP::Request->new($method, url($path, %option));
    my ($body, $type) = @option{qw(body type)};

    ($body, $type) = ($JSON->encode($option{json}), 'application/json') if exists $option{json};
    ($type, $body) = multipart($option{form}) if $option{form};
    $request->header(Authorization => "Bearer $option{token}") if defined $option{token};
    $request->header('Content-Type' => $type) if defined $type;
    my @headers = ref $option{headers} eq 'HASH' ? %{$option{headers}} : @{$option{headers} // []};
    $request->push_header(splice @headers, 0, 2) while @headers;
    $request->content($body) if defined $body;

    my $agent = LWP::UserAgent->new(timeout => $option{timeout} // 20, max_redirect => 0,
        env_proxy => 0, parse_head => 0);
    my $response = $agent->request($request);
    die "$method $path: " . $response->status_line . "\n"
        if ($response->header('Client-Warning') // '') eq 'Internal response';
    keep_answer($request->uri, $method, $response) if $option{keep} // 1;
    return $response;
}

# request() for the resource itself.
sub me {
    my ($method, %option) = @_;

    return request($method, $ME, %option);
}

# Sends these very bytes on a new connection and returns all that comes back until the server closes
# it, or nothing came for timeout seconds (5); in list context also whether the server closed it.
# $bytes may be a list of pieces, [$bytes, 0.5, $bytes], where a number is a pause in seconds.
sub raw {
    my ($bytes, %option) = @_;
    my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => _port(%option))
        or die "connect: $!\n";
    my $readable = IO::Select->new($socket);
    my ($answer, $closed) = ('', 0);
    local $SIG{PIPE} = 'IGNORE';

    for my $piece (ref $bytes ? @$bytes : $bytes) {
        if ($piece =~ /\A\d*\.?\d+\z/) { sleep $piece }
        else                           { print {$socket} $piece or last; $socket->flush }
    }
    while (!$closed && $readable->can_read($option{timeout} // 5)) {
        $closed = 1 unless sysread $socket, $answer, 65_536, length $answer;
    }
    return wantarray ? ($answer, $closed) : $answer;
}

# What the body of an answer says, or undef where it is no JSON.
sub json {
    my ($response) = @_;

    return eval { $JSON->decode($response->content) };
}

# multipart([part, ...], %options): the media type with its boundary, and the body. A part is a hash
#   name, filename, type, body    of which name and body are usual
#   headers                       the very bytes of its headers instead, with CR LF after each
# or a string, the bytes between two delimiters. Options: boundary; preamble; epilogue;
# close => 0 leaves the close delimiter out.
sub multipart {
    my ($parts, %option) = @_;
    my $boundary = $option{boundary} // 'boundary-' . _random_name();
    my $body = $option{preamble} // '';

    for my $part (@$parts) {
        $body .= "--$boundary\r\n" . (ref $part ? _part($part) : $part) . "\r\n";
    }
    $body .= "--$boundary--\r\n" . ($option{epilogue} // '') if $option{close} // 1;
    return ("multipart/form-data; boundary=$boundary", $body);
}

sub _part {
    my ($part) = @_;
    my $headers = $part->{headers};

    if (!defined $headers) {
        $headers = qq(Content-Disposition: form-data; name="$part->{name}");
        $headers .= qq(; filename="$part->{filename}") if defined $part->{filename};
        $headers .= "\r\n";
        $headers .= "Content-Type: $part->{type}\r\n" if defined $part->{type};
    }
    return "$headers\r\n" . ($part->{body} // '');
}

# --- Answers --------------------------------------------------------------------------------------

# is_profile($response, {field => value}, $name, %options): one check that the answer is a profile
# with all the contract says of one, and these values among its fields. fields => [names] in their
# order, for another configuration than the first seed's.
sub is_profile {
    my ($response, $expected, $name, %option) = @_;
    my @wrong;
    my $profile = json($response);
    my $header = sub { $response->header($_[0]) // '' };
    my @fields = $response->content =~ /"((?:[^"\\]|\\.)*)"\s*:/g;
    my $want = "@{$option{fields} // \@FIELDS}";

    push @wrong, 'the status is ' . $response->code unless $response->code == 200;
    push @wrong, 'it is ' . $header->('Content-Type')
        unless $header->('Content-Type') =~ m{^application/json\b};
    push @wrong, 'no strong ETag: ' . $header->('ETag') unless $header->('ETag') =~ /^"[^"]+"$/;
    push @wrong, 'Cache-Control' unless $header->('Cache-Control') eq 'private, no-cache';
    push @wrong, 'Vary' unless $header->('Vary') =~ /\bAuthorization\b/i;
    push @wrong, 'X-Content-Type-Options' unless $header->('X-Content-Type-Options') eq 'nosniff';
    push @wrong, "its fields are @fields" unless "@fields" eq $want;
    push @wrong, 'it shows the password' if index($response->content, $HASH) >= 0;
    for my $field (sort keys %$expected) {
        my ($is, $should) = map { $JSON->allow_nonref->encode($_) }
            ref $profile eq 'HASH' ? $profile->{$field} : undef, $expected->{$field};
        # 1 and "1" are the same to Perl: what kind a field is, the order's test looks at.
        push @wrong, "$field is $is, not $should" if ($is =~ s/^"|"$//gr) ne ($should =~ s/^"|"$//gr);
    }
    return _one_check($response, $name, @wrong);
}

# is_error($response, $status, $code, $name, %options): one check that the answer is an error with
# all that the contract says of one, in either format. fields => {field => code} for its details.
sub is_error {
    my ($response, $status, $code, $name, %option) = @_;
    my @wrong;
    my $header = sub { $response->header($_[0]) // '' };
    my $error = json($response);
    my $problem = $header->('Content-Type') =~ m{^application/problem\+json\b};

    $error = {} unless ref $error eq 'HASH';
    push @wrong, 'the status is ' . $response->code unless $response->code == $status;
    push @wrong, 'the code is ' . ($error->{code} // 'not there')
        unless ($error->{code} // '') eq $code;
    push @wrong, 'it is ' . $header->('Content-Type')
        unless $problem || $header->('Content-Type') =~ m{^application/json\b};
    push @wrong, grep { !length($error->{$_} // '') } $problem ? qw(type title detail instance)
        : qw(message);
    push @wrong, 'its status is ' . ($error->{status} // 'not there')
        unless ($error->{status} // '') eq ($problem ? $status : 'error');
    push @wrong, 'X-Content-Type-Options' unless $header->('X-Content-Type-Options') eq 'nosniff';
    push @wrong, 'WWW-Authenticate'
        if $status == 401 && $header->('WWW-Authenticate') !~ /^Bearer realm="/;
    push @wrong, 'Retry-After' if $status == 503 && $header->('Retry-After') !~ /^\d+$/;
    push @wrong, 'Allow' if $status == 405 && !$header->('Allow');
    if ($option{fields}) {
        my $list = $error->{$problem ? 'errors' : 'details'};
        my %codes = map { ($_->{field} => $_->{code}) } ref $list eq 'ARRAY' ? @$list : ();
        my ($is, $should) = map { $JSON->encode($_) } \%codes, $option{fields};
        push @wrong, "its fields are $is, not $should" unless $is eq $should;
    }
    return _one_check($response, $name, @wrong);
}

sub _one_check {
    my ($response, $name, @wrong) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 2;

    return Test::More::ok(1, $name) unless @wrong;
    Test::More::ok(0, $name);
    return Test::More::diag(map({ "  $_\n" } @wrong), $response->as_string);
}

# --- The servers ----------------------------------------------------------------------------------

# A DBI handle of the superuser (AutoCommit, RaiseError); of another database: db('killrvideo').
# In a test of the embedded stack it is SQLite's.
sub db {
    my ($name) = @_;
    our %handle;

    $name //= embedded() ? 'embedded' : 'fluentmeet';
    return $handle{embedded} //= UserProfile::Embedded->connect(servers()->{embedded})
        if $name eq 'embedded';
    delete $handle{$name} unless $handle{$name} && $handle{$name}->ping;
    return $handle{$name} //= DBI->connect("dbi:Pg:dbname=$name;host=" . servers()->{postgres},
        'postgres', '', {RaiseError => 1, PrintError => 0, AutoCommit => 1});
}

# A new row of any table with these columns: the whole of it as a hash.
sub insert {
    my ($database, $table, %column) = @_;
    my @names = sort keys %column;
    my $sql = sprintf 'INSERT INTO %s (%s) VALUES (%s) RETURNING *', $table,
        join(', ', map { qq("$_") } @names), join(', ', ('?') x @names);

    return db($database)->selectrow_hashref($sql, undef, @column{@names});
}

# A new row of users with these columns, and an email that nobody has unless one is given. Returns
# the whole row as a hash.
sub user_new {
    return insert(undef, 'users', email => _random_name() . '@example.com',
        hashed_password => $HASH, @_);
}

# The row of users with this id as it is now, or undef.
sub user_row {
    my ($id) = @_;

    return db()->selectrow_hashref('SELECT * FROM users WHERE id = ?', undef, $id);
}

# Is the time in this column of a user of the last minute?
sub is_recent {
    my ($column, $id) = @_;
    my $recent = embedded()
        ? "julianday($column) BETWEEN julianday('now', '-1 minute') AND julianday('now', '+1 second')"
        : "$column BETWEEN now() - interval '1 minute' AND clock_timestamp()";

    return db()->selectrow_array("SELECT $recent FROM users WHERE id = ?", undef, $id);
}

# Undoes a soft deletion, as the administrator does. Returns how many there were to undo.
sub restore {
    my ($email) = @_;

    return 0 + db()->selectrow_array('SELECT userprofile_restore(?)', undef, $email) unless embedded();
    return 0 + db()->do('UPDATE users SET deleted_at = NULL, is_active = 1 WHERE email = ? AND deleted_at '
            . 'IS NOT NULL', undef, $email);
}

# A date as a time of the journal.
sub journal_time {
    my ($date) = @_;

    return $date unless embedded();
    return scalar db()->selectrow_array('SELECT unixepoch(?)', undef, $date);
}

# What Redis answers to a command: redis('SET', $key, $value). Dies on an error. In a test of the
# embedded stack the tables are asked that are in its place.
sub redis {
    my ($command, @arguments) = @_;
    our $redis;

    return UserProfile::Embedded->command(db(), $command, @arguments) if embedded();

    undef $redis unless $redis && eval { $redis->ping };
    $redis //= Redis->new(sock => servers()->{redis_socket});
    $command = lc $command;
    return $redis->$command(@arguments);
}

# What the storage's stand-in has and has seen, as t/cloudinary.pl describes it:
#   storage('assets')->{count}, storage('requests')->{requests}, storage('reset')
sub storage {
    my ($what, %query) = @_;
    my $method = $what =~ /^(?:assets|requests)$/ ? 'GET' : 'POST';
    my $url = URI->new(servers()->{storage_url} . "/_test/$what");

    $url->query_form(%query) if %query;
    my $response = LWP::UserAgent->new(timeout => 10)->request(HTTP::Request->new($method, $url));
    die "storage $what: " . $response->status_line . "\n" unless $response->is_success;
    return json($response);
}

# storage_fault('hang', count => 2, on => 'upload', seconds => 3): see t/cloudinary.pl.
sub storage_fault {
    my ($kind, %how) = @_;

    return storage('fault', kind => $kind, %how);
}

# A second httpd with the shipped configuration and the same servers, not yet started (->start), and
# stopped when the test ends: see UserProfile::Httpd. Options are its, and those of %defines.
#   my $node = node(defines => {USERPROFILE_SWEEP => 60}, mpm => 'prefork')->start;
#   me('GET', token => $token, port => $node->{port});
# more => $lines is configuration after that of the contract; contract => $name says whose answers it
# has where that is not plain from the configuration.
our @nodes;

# The lines of the first seed's contract: as shipped, but that the embedded one has the storage that
# the tests look at.
sub contract {
    my $conf = scratch() . '/top/conf';

    return qq(Include "$conf/embedded.conf"\nUserProfileAvatarStorage "\${USERPROFILE_AVATARS}"\n)
        if embedded();
    return qq(Include "$conf/fluentmeet.conf"\n);
}

sub node {
    my (%option) = @_;
    my %defines = (servers()->defines, %{delete $option{defines} // {}});
    my $conf = contract() . (delete $option{more} // '');
    my $dir = scratch() . '/node-' . basename($0, '.t') . '-' . @nodes;

    my $node = UserProfile::Httpd->new(dir => $dir, httpd => servers()->{httpd},
        conf => $conf, defines => \%defines, %option);
    push @nodes, $node;
    is_of($node->{port}, $node->{contract} // contract_of($node->{conf}));
    return $node;
}

# A command, for node(httpd => ...), that starts httpd in surroundings that this shell text makes.
sub httpd_in {
    my ($surroundings) = @_;
    our $commands //= 0;
    my $command = scratch() . '/httpd-' . basename($0, '.t') . '-' . $commands++;

    spew($command, "#!/bin/sh\n$surroundings\nexec " . servers()->{httpd} . qq( "\$@"\n));
    chmod 0755, $command;
    return $command;
}

END {
    local $?;
    $_->stop for splice @nodes;
}

# --- The error log --------------------------------------------------------------------------------

sub _log {
    my ($file) = @_;

    return $file // 't/logs/error_log';
}

# Where the error log ends now; of another httpd: log_mark($node->{error_log}).
sub log_mark {
    my ($file) = @_;

    return -s _log($file) // 0;
}

# What was logged since.
sub log_since {
    my ($mark, $file) = @_;

    open my $in, '<:raw', _log($file) or return '';
    seek $in, $mark, 0;
    return do { local $/; <$in> } // '';
}

# Checks that something was logged since that matches, waiting for it a moment.
sub log_like {
    my ($mark, $pattern, $name, $file) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;

    return Test::More::pass($name) if wait_for(2, sub { log_since($mark, $file) =~ $pattern });
    return Test::More::like(log_since($mark, $file), $pattern, $name);
}

# Checks that nothing was logged since that matches; a string is looked for as it is.
sub log_unlike {
    my ($mark, $pattern, $name, $file) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;

    $pattern = qr/\Q$pattern\E/ unless ref $pattern;
    return Test::More::unlike(log_since($mark, $file), $pattern, $name);
}

1;
