"""HTTP: requests that survive bad networks, credentials, proxies, and documents kept by digest."""
