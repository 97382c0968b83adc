set pagination off
set confirm off
set print frame-info short-location
