"""A page, asked for by the test client that the framework has."""

import asyncio

import fastapi
import jinja2
import uvicorn

app = fastapi.FastAPI()


@app.get("/sum")
def total(a: int, b: int) -> dict[str, str]:
    return {"text": jinja2.Template("{{ a }} and {{ b }}").render(a=a, b=b), "sum": str(a + b)}


async def serve() -> str:
    """Ask over a socket, as anybody would."""
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="error"))
    task = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /sum?a=1&b=2 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    answer = await reader.read()
    server.should_exit = True
    await task
    return answer.partition(b"\r\n\r\n")[2].decode()


print(asyncio.run(serve()))
