"""What the demo asks about places that no outline tells: capitals and continents."""

from __future__ import annotations

CAPITALS = {
    "Alabama": "Montgomery", "Arizona": "Phoenix", "Arkansas": "Little Rock",
    "California": "Sacramento", "Colorado": "Denver", "Connecticut": "Hartford",
    "Delaware": "Dover", "Florida": "Tallahassee", "Georgia": "Atlanta", "Idaho": "Boise",
    "Illinois": "Springfield", "Indiana": "Indianapolis", "Iowa": "Des Moines",
    "Kansas": "Topeka", "Kentucky": "Frankfort", "Louisiana": "Baton Rouge",
    "Maine": "Augusta", "Maryland": "Annapolis", "Massachusetts": "Boston",
    "Michigan": "Lansing", "Minnesota": "Saint Paul", "Mississippi": "Jackson",
    "Missouri": "Jefferson City", "Montana": "Helena", "Nebraska": "Lincoln",
    "Nevada": "Carson City", "New Hampshire": "Concord", "New Jersey": "Trenton",
    "New Mexico": "Santa Fe", "New York": "Albany", "North Carolina": "Raleigh",
    "North Dakota": "Bismarck", "Ohio": "Columbus", "Oklahoma": "Oklahoma City",
    "Oregon": "Salem", "Pennsylvania": "Harrisburg", "Rhode Island": "Providence",
    "South Carolina": "Columbia", "South Dakota": "Pierre", "Tennessee": "Nashville",
    "Texas": "Austin", "Utah": "Salt Lake City", "Vermont": "Montpelier",
    "Virginia": "Richmond", "Washington": "Olympia", "West Virginia": "Charleston",
    "Wisconsin": "Madison", "Wyoming": "Cheyenne",
}  # fmt: skip
"""The 48 contiguous states of the USA; no other is drawn."""

CONTINENTS = {
    country: continent
    for continent, countries in {
        "Africa": (
            "Algeria", "Angola", "Botswana", "Cameroon", "Central African Republic", "Chad",
            "DR Congo", "Egypt", "Ethiopia", "Kenya", "Libya", "Madagascar", "Mali",
            "Mauritania", "Morocco", "Mozambique", "Namibia", "Niger", "Nigeria", "Somalia",
            "South Africa", "Sudan", "Tanzania", "Zambia",
        ),
        "Asia": (
            "Afghanistan", "China", "India", "Indonesia", "Iran", "Iraq", "Japan", "Kazakhstan",
            "Malaysia", "Mongolia", "Myanmar", "Oman", "Pakistan", "Saudi Arabia", "Thailand",
            "Turkmenistan", "Uzbekistan", "Vietnam", "Yemen",
        ),
        "Europe": (
            "Finland", "France", "Germany", "Italy", "Norway", "Poland", "Romania", "Spain",
            "Sweden", "Ukraine", "United Kingdom",
        ),
        "North America": ("Canada", "Greenland", "Mexico", "United States"),
        "Oceania": ("Australia", "New Zealand", "Papua New Guinea"),
        "South America": (
            "Argentina", "Bolivia", "Brazil", "Chile", "Colombia", "Ecuador", "Guyana",
            "Paraguay", "Peru", "Venezuela",
        ),
    }.items()
    for country in countries
}  # fmt: skip
"""The countries asked about: large enough to be seen on a small map, each on one continent."""

RENAMED = {
    "Central African Rep.": "Central African Republic",
    "Dem. Rep. Congo": "DR Congo",
    "S. Sudan": "South Sudan",
    "United States of America": "United States",
}
