// Tells which part of n8n takes a request, without letting it. Preloaded into a real n8n
// (`node --require probe.cjs …/n8n start`), it listens on `ROUTING_PROBE_PORT` and hands what comes
// there to n8n's own Express application, as n8n has mounted it.
//
// Middleware runs as it is, at a path of its own or for everything (the editor's page and the
// static files are such): some of it lets a request pass. Where a route's handlers would begin, it
// ends, and `x-taken-by` says `KIND PATTERN STATUS NAME`. NAME is what a trigger would be looked up
// by. On n8n's own port n8n answers itself and the field is only added.

'use strict';

const fs = require('node:fs');
const http = require('node:http');
const path = require('node:path');
const { createRequire } = require('node:module');

const fromN8n = createRequire(process.argv[1]);
const fromExpress = createRequire(fromN8n.resolve('express'));
const fromRouter = createRequire(fromExpress.resolve('router'));
const Router = fromExpress('router');
const Layer = fromRouter('./lib/layer');
const SendStream = Object.getPrototypeOf(fromExpress('send')({}, '/'));
const { WebSocketServer } = fromN8n('ws');

/** As it can stand in a field, without spaces. */
const plain = (text) => Array.from(Buffer.from(String(text)), (byte) =>
	byte > 0x20 && byte < 0x7f && byte !== 0x25 ? String.fromCharCode(byte) : '%' + byte.toString(16).padStart(2, '0'),
).join('');

const saying = ({ kind, pattern, status = '-', params = {} }) => {
	const name = [params.path ?? []].flat().join('/');
	return `${kind} ${plain(pattern)} ${status} ${plain(name)}`;
};

/** What became of one request. */
class Trace {
	/** The mounts that led here. */
	at = '';
	/** What is mounted here and has it now: its own layers are its own business. */
	inside = undefined;
	taken = false;
	middleware = '';

	/** `tell` is told who has the request, and nothing if whoever had it let it pass. */
	constructor(tell, only) {
		this.tell = tell;
		this.only = only;
	}

	/** Whether the request ends here. */
	take(what) {
		if (!this.taken) this.tell(this.inside ?? what);
		this.taken = true;
		return this.only;
	}
}

// Express forgets the pattern that something is mounted at.
const { use } = Router.prototype;
Router.prototype.use = function (first, ...rest) {
	const before = this.stack.length;
	const used = use.call(this, first, ...rest);
	const patterns = [first].flat().filter((it) => typeof it === 'string' && it !== '/');
	for (const layer of this.stack.slice(before)) layer.patterns = patterns;
	return used;
};

const isRouter = (handle) => Array.isArray(handle.stack);

const { handleRequest } = Layer.prototype;
Layer.prototype.handleRequest = function (req, res, next) {
	const { trace } = req;
	if (!trace || trace.taken || trace.inside) return handleRequest.call(this, req, res, next);
	const { at } = trace;
	const [mount = ''] = this.patterns ?? [];
	if (this.route) {
		// A HEAD comes this far also where nobody listens to it.
		if (!this.route._handlesMethod(req.method)) return next();
		if (trace.take({ kind: 'route', pattern: at + this.route.path, params: req.params })) return;
	} else if (isRouter(this.handle)) {
		trace.at = at + mount;
	} else if (at + mount) {
		trace.inside = { kind: 'mount', pattern: at + mount, params: req.params };
		if (!trace.only) trace.tell(trace.inside);
	} else {
		trace.middleware = this.name;
	}
	return handleRequest.call(this, req, res, (error) => {
		if (trace.inside) {
			// What fails has it; what does not lets it pass.
			if (error && trace.take() && trace.only) return;
			trace.inside = undefined;
			if (!error) trace.tell();
		}
		trace.at = at;
		next(error);
	});
};

const { handleError } = Layer.prototype;
Layer.prototype.handleError = function (error, req, ...rest) {
	if (req.trace && !req.trace.inside) req.trace.middleware = 'error';
	return handleError.call(this, error, req, ...rest);
};

// Static files, called as they lie in their folder.
const { send, sendFile, redirect } = SendStream;
const folders = new Map();
const entries = (root) => {
	if (!folders.has(root)) {
		const below = fs.readdirSync(root, { recursive: true }).map((it) => path.join(root, it));
		folders.set(root, new Set([root, ...below]));
	}
	return folders.get(root);
};
// n8n's folders do not change while it runs, and a million looks at the disk take minutes.
SendStream.sendFile = function (file) {
	const known = !this.req.trace?.only || entries(this._root).has(file.replace(/\/$/, ''));
	return known ? sendFile.call(this, file) : this.onStatError({ code: 'ENOENT' });
};
SendStream.send = function (file, stat) {
	const pattern = this._root ? file.slice(this._root.length) : file;
	if (this.req.trace?.take({ kind: 'file', pattern })) return;
	return send.call(this, file, stat);
};
SendStream.redirect = function (file) {
	if (this.req.trace?.take({ kind: 'folder', pattern: '/' })) return;
	return redirect.call(this, file);
};

/** A response that goes nowhere: whatever begins one has taken the request. */
class Nowhere extends http.ServerResponse {
	constructor(req) {
		super(req);
		for (const name of ['write', 'end', 'writeHead', 'flushHeaders', 'send', 'json']) {
			this[name] = () => {
				const { trace } = req;
				// The router itself, where nobody listens to this method: it lists the others.
				const lists = req.method === 'OPTIONS' && this.hasHeader('allow');
				if (lists) trace.take({ kind: 'nothing', pattern: '-', status: 'allow' });
				trace.take({ kind: 'middleware', pattern: trace.middleware, status: this.statusCode });
				return this;
			};
		}
	}
}

/** Every pattern that stands somewhere in n8n. */
const listed = (stack, at = '') => stack.flatMap((layer) => {
	const patterns = layer.patterns?.length ? layer.patterns : [''];
	if (layer.route) return [`${at}${layer.route.path}`];
	if (isRouter(layer.handle)) return patterns.flatMap((it) => listed(layer.handle.stack, at + it));
	return patterns.filter((it) => it).map((it) => at + it);
});

function ask(app, req, res) {
	const reply = (what, body = '') => {
		res.sendDate = false;
		res.writeHead(200, { 'x-taken-by': what, 'content-length': Buffer.byteLength(body) });
		res.end(body);
	};
	if (req.headers['x-list']) return reply('list', listed(app.router.stack).join('\n'));
	req.trace = new Trace((what) => what && reply(saying(what)), true);
	app(req, new Nowhere(req), (error) => {
		req.trace.take({ kind: 'nothing', pattern: '-', status: error ? (error.status ?? 500) : 404 });
	});
}

const whose = (listener) => {
	const source = String(listener);
	const known = { push: '/push`', chat: "'/chat'", 'browser-use': 'BROWSER_USE_WS_NAMESPACE' };
	return Object.keys(known).find((name) => source.includes(known[name])) ?? 'somebody';
};

const { handleUpgrade } = WebSocketServer.prototype;
WebSocketServer.prototype.handleUpgrade = function (req, ...rest) {
	if (!req.asking) return handleUpgrade.call(this, req, ...rest);
	req.asking.push(req.listener);
};

function askForSocket(server, req, socket) {
	req.asking = [];
	for (const listener of server.listeners('upgrade')) {
		req.listener = whose(listener);
		listener.call(server, req, socket, Buffer.alloc(0));
	}
	const what = saying({ kind: 'socket', pattern: req.asking.join('+') || '-' });
	socket.end(`HTTP/1.1 200 OK\r\nx-taken-by: ${what}\r\nconnection: close\r\n\r\n`);
}

// A million refusals need no stack traces.
Error.stackTraceLimit = 0;

// The first that listens on n8n's port is n8n.
const { listen } = http.Server.prototype;
http.Server.prototype.listen = function (port, ...rest) {
	if (String(port) === process.env.N8N_PORT) {
		http.Server.prototype.listen = listen;
		const [app] = this.listeners('request');
		const probe = http.createServer((req, res) => ask(app, req, res));
		Object.assign(probe, { keepAliveTimeout: 0, requestTimeout: 0 });
		probe.on('upgrade', (req, socket) => askForSocket(this, req, socket));
		probe.listen(Number(process.env.ROUTING_PROBE_PORT), '127.0.0.1');
		this.prependListener('request', (req, res) => {
			const tell = (what) => {
				if (res.headersSent) return;
				if (what) res.setHeader('x-taken-by', saying(what));
				else res.removeHeader('x-taken-by');
			};
			req.trace = new Trace(tell, false);
		});
	}
	return listen.call(this, port, ...rest);
};
