//! Which handler answers which path.

use super::request::Call;
use super::response::{Response, text};
use super::server::{Service, ServiceFuture};
use hyper::header::{ALLOW, HeaderValue};
use hyper::{Method, StatusCode};
use std::sync::Arc;

/// Paths, each with a method and a handler that is given the state. Paths are compared as they are,
/// without patterns.
pub struct Router<S> {
    state: Arc<S>,
    routes: Vec<Route<S>>,
}

struct Route<S> {
    method: Method,
    path: &'static str,
    handler: Handler<S>,
}

type Handler<S> = Box<dyn Fn(Arc<S>, Call) -> ServiceFuture + Send + Sync>;

impl<S: Send + Sync + 'static> Router<S> {
    /// A router that knows no path yet.
    pub fn new(state: Arc<S>) -> Self {
        Self { state, routes: Vec::new() }
    }

    /// Answers `GET` (and `HEAD`) for a path.
    pub fn get<F>(
        self,
        path: &'static str,
        handler: impl Fn(Arc<S>, Call) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Response> + Send + 'static,
    {
        self.route(Method::GET, path, handler)
    }

    /// Answers `method` for a path.
    pub fn route<F>(
        mut self,
        method: Method,
        path: &'static str,
        handler: impl Fn(Arc<S>, Call) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Response> + Send + 'static,
    {
        let handler: Handler<S> = Box::new(move |state, call| Box::pin(handler(state, call)));
        self.routes.push(Route { method, path, handler });
        self
    }

    fn find(&self, method: &Method, path: &str) -> Result<&Route<S>, NoRoute> {
        // Hyper sends the answer to a HEAD without its body.
        let method = if method == Method::HEAD { &Method::GET } else { method };
        let of_path = self.routes.iter().filter(|route| route.path == path);
        let methods: Vec<&str> = of_path.clone().map(|route| route.method.as_str()).collect();
        let mut of_method = of_path.filter(|route| route.method == *method);
        of_method.next().ok_or_else(|| NoRoute { methods: methods.join(", ") })
    }
}

/// Nobody answers.
#[derive(Debug, PartialEq, Eq)]
struct NoRoute {
    /// The methods that the path has, if there is such a path.
    methods: String,
}

impl NoRoute {
    fn response(&self) -> Response {
        let methods = &self.methods;
        if methods.is_empty() {
            return text(
                StatusCode::NOT_FOUND,
                "there is nothing at this path; / lists what there is\n",
            );
        }
        let mut response =
            text(StatusCode::METHOD_NOT_ALLOWED, format!("this path answers {methods} alone\n"));
        if let Ok(methods) = HeaderValue::from_str(methods) {
            response.headers_mut().insert(ALLOW, methods);
        }
        response
    }
}

impl<S: Send + Sync + 'static> Service for Router<S> {
    fn call(&self, call: Call) -> ServiceFuture {
        match self.find(call.request.method(), call.path()) {
            Ok(route) => (route.handler)(self.state.clone(), call),
            Err(no_route) => Box::pin(std::future::ready(no_route.response())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_has_its_methods_and_others_are_told_which() {
        let router = Router::new(Arc::new(()))
            .get("/a", |_, _| async { text(StatusCode::OK, "a") })
            .route(Method::POST, "/a", |_, _| async { text(StatusCode::OK, "posted") });
        for (method, path, expected) in [
            (Method::GET, "/a", Ok(Method::GET)),
            (Method::HEAD, "/a", Ok(Method::GET)),
            (Method::POST, "/a", Ok(Method::POST)),
            (Method::PUT, "/a", Err(405)),
            (Method::GET, "/a/", Err(404)),
            (Method::GET, "/b", Err(404)),
        ] {
            let found = router.find(&method, path).map(|route| route.method.clone());
            assert_eq!(
                found.map_err(|no_route| no_route.response().status().as_u16()),
                expected,
                "{method} {path}"
            );
        }
        let refused = router.find(&Method::PUT, "/a").err().unwrap().response();
        assert_eq!(refused.headers()[ALLOW], "GET, POST");
    }
}
