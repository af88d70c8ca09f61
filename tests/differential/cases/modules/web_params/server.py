"""A web server on a port of its own, on one with TLS and on a socket file; writes the ports to DIR/port."""
import gzip, http.server, json, os, socket, socketserver, ssl, sys, threading
home = sys.argv[1]


class Web(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'
    server_version, sys_version = 'Test/1', ''

    def address_string(self):
        return 'client'

    def answer(self, code, body, **head):
        self.send_response(code)
        for k, v in dict(head, Content_Length=len(body)).items():
            self.send_header(k.replace('_', '-'), str(v))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        body = self.rfile.read(int(self.headers.get('Content-Length') or 0))
        if self.path == '/to':
            return self.answer(302, b'', Location='/echo')
        if self.path == '/gz':
            return self.answer(200, gzip.compress(b'packed text\n', mtime=0), Content_Encoding='gzip', Content_Type='text/plain')
        seen = {k.lower(): v for k, v in self.headers.items() if k.lower().startswith(('x-', 'content-type', 'authorization', 'user-agent', 'cache'))}
        peer = self.connection.getpeercert() if isinstance(self.connection, ssl.SSLSocket) else None
        who = [v for part in (peer or {}).get('subject', ()) for _, v in part]
        text = json.dumps({'method': self.command, 'path': self.path, 'headers': seen, 'body': body.decode('utf-8', 'replace'), 'client': who}, sort_keys=True)
        self.answer(200, text.encode(), Content_Type='application/json')

    do_POST = do_PUT = do_GET


class Plain(http.server.ThreadingHTTPServer):
    daemon_threads = True


class Local(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True

    def get_request(self):
        request, _ = super().get_request()
        return request, ('local', 0)


plain, tls = Plain(('127.0.0.1', 0), Web), Plain(('127.0.0.1', 0), Web)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(home + '/server.pem', home + '/server.key')
context.load_verify_locations(home + '/ca.pem')
context.verify_mode = ssl.CERT_OPTIONAL
tls.socket = context.wrap_socket(tls.socket, server_side=True, do_handshake_on_connect=False)
if os.path.exists(home + '/socket'):
    os.unlink(home + '/socket')
local = Local(home + '/socket', Web)
for server in (plain, tls, local):
    threading.Thread(target=server.serve_forever).start()
with open(home + '/port.new', 'w') as f:
    f.write('%d %d' % (plain.server_address[1], tls.server_address[1]))
os.rename(home + '/port.new', home + '/port')
