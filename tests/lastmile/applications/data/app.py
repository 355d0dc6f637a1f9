import numpy
import pandas

frame = pandas.DataFrame({"day": pandas.date_range("2026-01-01", periods=4, tz="Europe/Berlin")})
frame["x"] = numpy.linalg.inv(numpy.diag([1.0, 2.0, 4.0, 8.0])).sum(axis=0)
print(frame.groupby(frame.day.dt.month).x.sum().to_dict())
